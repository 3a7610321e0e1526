import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openParquetWriter } from '../adapters/duckdb/parquet-writer.ts'
import { type Clock, systemRandom } from '../kit/clock.ts'
import { type FileSystem, nodeFiles } from '../kit/files.ts'
import { FolderObjectStore } from '../lake/folder-object-store.ts'
import { openLakeTable } from '../lake/lake-table.ts'
import type { ObjectStore } from '../lake/object-store.ts'
import { ObjectStoreCatalog } from '../lake/object-store-catalog.ts'
import { TABLES } from '../lake/tables.ts'
import { type DiskLog, openDiskLog } from '../log/disk-log.ts'
import { RECORD_FLAGS } from '../log/event-log.ts'
import {
  type DeliveryParts,
  deliverTenant,
  offsetIn,
  type TenantTables,
  WriterEpochs,
} from './deliver-tenant.ts'
import type { DeliveryJob, DeliveryResult } from './delivery-job.ts'
import type { LakeWriter, TableName } from './lake-writer.ts'
import { openSpool } from './spool.ts'

const DAY_MS = 86_400_000
const NOW = Date.parse('2026-03-02T12:00:00Z')
const clock: Clock = { now: () => NOW }
const ACME = 1
const OTHER = 2

/** Nothing here is about power cuts, and a sync for each file would be most of the time. */
const files: FileSystem = {
  ...nodeFiles,
  syncFolder: async () => {},
  open: async (path, mode) =>
    Object.assign(await nodeFiles.open(path, mode), { sync: async () => {} }),
}

let writer: LakeWriter
let connection: DuckDBConnection
let folder: string
let log: DiskLog

beforeAll(async () => {
  writer = await openParquetWriter()
  connection = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect()
})
afterAll(() => {
  writer.close()
  connection.closeSync()
})
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-deliver-'))
  log = await openDiskLog({
    folder: join(folder, 'log'),
    files,
    clock,
    random: systemRandom,
  })
})
afterEach(async () => {
  await log.close()
  rmSync(folder, { recursive: true, force: true })
})

const folderStore = () =>
  new FolderObjectStore(files, join(folder, 'lake'), 'millrace-test', systemRandom)

function tablesOver(store: ObjectStore, tenantId = 'acme'): TenantTables {
  const catalog = new ObjectStoreCatalog(store)
  const tables = TABLES.map((definition) => [
    definition.name,
    openLakeTable(
      store,
      catalog,
      { namespace: tenantId, name: definition.name },
      definition,
      clock,
      systemRandom,
    ),
  ])
  return Object.fromEntries(tables) as TenantTables
}

/** A delivery process: what it holds in memory is gone with it. */
function newProcess(store: ObjectStore = folderStore()): DeliveryParts {
  const tables = tablesOver(store)
  return {
    files,
    clock,
    random: systemRandom,
    store,
    writer,
    spool: openSpool(join(folder, 'spool')),
    tables: () => tables,
    epochs: new WriterEpochs(),
  }
}

let batchNumber = 0
interface Batch {
  readonly tenantNo?: number
  readonly flags?: number
  readonly rejected?: number
}

async function append(events: readonly object[], batch: Batch = {}): Promise<void> {
  const { tenantNo = ACME, flags = 0, rejected = 0 } = batch
  await log.append({
    tenantNo,
    sourceNo: 3,
    receivedMs: NOW,
    sentMs: null,
    batchId: `batch-${batchNumber++}`,
    eventCount: events.length,
    flags,
    indexes: null,
    defaults: '{"visitorId":"v"}',
    context:
      '{"browser":null,"os":null,"device":null,"country":null,"origin":null,"bot":false,"gpc":false}',
    events: Buffer.from(JSON.stringify(events)),
    packed: null,
    rejections: Array.from({ length: rejected }, (_, at) => ({
      index: events.length + at,
      code: 'empty' as const,
      detail: 'd',
      pointer: '',
      raw: '{}',
    })),
  })
}

const event = (target: string, more: object = {}) => ({
  eventType: 'click',
  timestamp: NOW,
  path: '/',
  target,
  ...more,
})

/** One job over what the log has from where `events` stands. */
async function deliver(
  parts: DeliveryParts,
  bytesMax = 1_000_000,
  more: Pick<DeliveryJob, 'leaveOut' | 'trial'> = {},
): Promise<DeliveryResult | undefined> {
  const from = offsetIn(await tablesOver(folderStore()).events.snapshot(), log.logId)
  const plan = log.plan(ACME, from, bytesMax)
  if (plan === undefined) return undefined
  const sources = [{ sourceNo: 3, name: 'web' }]
  return deliverTenant(parts, { tenantId: 'acme', plan, sources, ...more })
}

/** Values of one column of all rows that the newest snapshot shows, file by file. */
async function column(table: TableName, name: string): Promise<unknown[]> {
  const store = folderStore()
  const snapshot = await tablesOver(store)[table].snapshot()
  const values: unknown[] = []
  for (const file of snapshot.files) {
    const path = await store.localPath(file.key)
    const reader = await connection.runAndReadAll(`SELECT "${name}" AS value FROM '${path}'`)
    values.push(...reader.getRowObjectsJson().map((row) => row.value))
  }
  return values
}

describe('a range', () => {
  test('becomes rows of the three tables, of this tenant alone, and is not delivered again', async () => {
    await append([event('a'), event('b')])
    await append([event('theirs')], { tenantNo: OTHER })
    await append([event('c', { eventType: 'identify', userId: 'u' })], { rejected: 2 })
    const parts = newProcess()
    expect(await deliver(parts)).toMatchObject({
      status: 'delivered',
      nextOffset: 3,
      recordCount: 2,
      eventCount: 3,
      duplicateCount: 0,
    })
    expect(await column('events', 'target')).toEqual(['a', 'b', 'c'])
    expect(await column('events', 'source')).toEqual(['web', 'web', 'web'])
    expect(await column('identities', 'user_id')).toEqual(['u'])
    expect(await column('rejections', 'rejection_id')).toEqual([
      `${log.logId}-2-1`,
      `${log.logId}-2-2`,
    ])
    expect(await deliver(parts)).toBeUndefined()
    expect(readdirSync(join(folder, 'spool'))).toEqual([])
  })

  test('of a plan that begins elsewhere than the table stands changes nothing', async () => {
    await append([event('a')])
    const parts = newProcess()
    const plan = log.plan(ACME, 0, 1_000_000)!
    const job = { tenantId: 'acme', plan, sources: [] }
    await deliverTenant(parts, job)
    expect(await deliverTenant(parts, job)).toEqual({ status: 'moved', nextOffset: 1 })
    expect(await deliverTenant(newProcess(), job)).toEqual({ status: 'moved', nextOffset: 1 })
    expect(await column('events', 'target')).toEqual(['a'])
  })

  test('over several days is a file for each day, in the order of the log', async () => {
    const at = (days: number) => NOW - days * DAY_MS
    await append([
      event('1', { timestamp: at(1) }),
      event('2', { timestamp: at(0) }),
      event('3', { timestamp: at(1) }),
      event('4', { timestamp: at(6) }),
    ])
    await deliver(newProcess())
    const { files: found } = await tablesOver(folderStore()).events.snapshot()
    const days = found.map((file) => [
      Math.floor(NOW / DAY_MS) - file.partitionDay,
      file.recordCount,
    ])
    expect(new Map(days as [number, number][])).toEqual(
      new Map([
        [6, 1],
        [1, 2],
        [0, 1],
      ]),
    )
    const order = (await column('events', 'target')) as string[]
    expect(order.indexOf('1')).toBeLessThan(order.indexOf('3'))
  })

  test('over more days than are copied one by one loses none', async () => {
    const events = Array.from({ length: 400 }, (_, at) =>
      event(String(at), { timestamp: NOW - (at % 40) * DAY_MS }),
    )
    await append(events, { flags: RECORD_FLAGS.historical })
    await deliver(newProcess())
    const { files: found } = await tablesOver(folderStore()).events.snapshot()
    expect(found).toHaveLength(40)
    const targets = (await column('events', 'target')).map(Number).sort((a, b) => a - b)
    expect(targets).toEqual(events.map((_, at) => at))
  })

  test('of rejections alone moves events on, without a file', async () => {
    await append([], { rejected: 1 })
    expect(await deliver(newProcess())).toMatchObject({ status: 'delivered', nextOffset: 1 })
    const snapshot = await tablesOver(folderStore()).events.snapshot()
    expect([snapshot.files, snapshot.progress?.nextOffset]).toEqual([[], 1])
    expect(await column('rejections', 'raw')).toEqual(['{}'])
  })

  test('whose data lacks rejections does not look for them, whatever the events say', async () => {
    await append([event('a', { data: { p: null, x: [{ index: 1 }] } })], { flags: 1 })
    await deliver(newProcess())
    expect(await column('rejections', 'raw')).toEqual([])
  })

  test('with a damaged byte stops with data_damaged and commits nothing', async () => {
    await append([event('a')])
    await append([event('target-of-damage')])
    const [segment] = readdirSync(join(folder, 'log')).filter((name) => name.endsWith('.ndjson'))
    const path = join(folder, 'log', segment!)
    writeFileSync(path, readFileSync(path, 'utf8').replace('target-of-damage', 'target-of-damagE'))
    await expect(deliver(newProcess())).rejects.toMatchObject({ code: 'data_damaged' })
    expect((await tablesOver(folderStore()).events.snapshot()).progress).toBeUndefined()
    expect(readdirSync(join(folder, 'spool'))).toEqual([])
  })

  test('whose count of events differs from its rows is not committed', async () => {
    await append([event('a'), event('b')])
    const plan = { ...log.plan(ACME, 0, 1_000_000)!, eventCount: 3 }
    const job = { tenantId: 'acme', plan, sources: [] }
    await expect(deliverTenant(newProcess(), job)).rejects.toThrow('3 events of acme')
    expect((await tablesOver(folderStore()).events.snapshot()).progress).toBeUndefined()
  })
})

describe('explicit event ids', () => {
  test('the first of an id and source is kept, in the range and against the lake', async () => {
    const id = (eventId: string) => ({ eventId })
    await append([event('1', id('x')), event('2', id('x')), event('3', id('y')), event('4')])
    expect(await deliver(newProcess())).toMatchObject({ eventCount: 4, duplicateCount: 1 })
    await append([event('5', id('y')), event('6', id('z')), event('7')])
    await append([event('8', { ...id('z'), eventType: 'identify', userId: 'u' })])
    expect(await deliver(newProcess())).toMatchObject({ eventCount: 4, duplicateCount: 2 })
    expect(await column('events', 'target')).toEqual(
      expect.arrayContaining(['1', '3', '4', '6', '7']),
    )
    expect(await column('events', 'target')).toHaveLength(5)
    expect(await column('identities', 'user_id')).toEqual([])
  })

  test('are looked for seven days back and one ahead, not further', async () => {
    const ago = (days: number) => ({ eventId: `id`, timestamp: NOW - days * DAY_MS })
    const historical = { flags: RECORD_FLAGS.historical }
    await append([event('old', ago(20))], historical)
    await deliver(newProcess())
    for (const [days, duplicateCount] of [
      [12, 0],
      [5, 1],
      [21, 1],
      [30, 0],
    ] as const) {
      await append([event(`${days} days`, ago(days))], historical)
      expect(await deliver(newProcess())).toMatchObject({ duplicateCount })
    }
  })
})

describe('events that are given up', () => {
  const leaveOut = (offset: number, from: number, to: number) => {
    return { offset, how: 'events', ranges: [[from, to]], detail: 'why' } as const
  }
  const left = async () => (await tablesOver(folderStore()).events.snapshot()).progress?.left

  test('are rejections of stage delivery, and counted in the snapshot that passes them', async () => {
    await append([event('a'), event('b'), event('c')], { rejected: 1 })
    const result = await deliver(newProcess(), 1, { leaveOut: leaveOut(0, 1, 2) })
    expect(result).toMatchObject({ eventCount: 3, duplicateCount: 0, undeliverableCount: 1 })
    expect(await column('events', 'target')).toEqual(['a', 'c'])
    expect(await column('events', 'event_index')).toEqual([0, 2])
    expect(await column('rejections', 'stage')).toEqual(['door', 'delivery'])
    expect(await column('rejections', 'code')).toEqual(['empty', 'undeliverable'])
    expect(await left()).toEqual({ duplicates: 0, undeliverable: 1 })
    await append([event('d', { eventId: 'x' }), event('e', { eventId: 'x' })])
    await deliver(newProcess())
    expect(await left()).toEqual({ duplicates: 1, undeliverable: 1 })
  })

  test('are tried without a trace, and so is a record that is known to be good', async () => {
    await append([event('a')])
    const parts = newProcess()
    for (const trial of ['record', 'control'] as const) {
      expect(await deliver(parts, 1, { trial })).toEqual({ status: 'tried' })
    }
    expect((await tablesOver(folderStore()).events.snapshot()).progress).toBeUndefined()
    expect(readdirSync(join(folder, 'spool'))).toEqual([])
  })

  test('are rows once, though rejections had passed their record before and after', async () => {
    await append([event('a'), event('b')], { rejected: 1 })
    // The table stands past the record, as after a crash between the commits.
    const onlyRejections = newProcess()
    const { events } = onlyRejections.tables('acme')
    events.append = () => Promise.reject(new Error('crash'))
    await expect(deliver(onlyRejections)).rejects.toThrow('crash')
    expect(await column('rejections', 'code')).toEqual(['empty'])
    await expect(deliver(onlyRejections, 1, { leaveOut: leaveOut(0, 0, 1) })).rejects.toThrow(
      'crash',
    )
    await deliver(newProcess(), 1, { leaveOut: leaveOut(0, 0, 1) })
    expect((await column('rejections', 'code')).sort()).toEqual(['empty', 'undeliverable'])
    expect(await column('events', 'target')).toEqual(['b'])
  })

  test('because they are damaged in the log are one row, and counted', async () => {
    await append([event('a')])
    const plan = { ...log.plan(ACME, 0, 1_000)!, skippedEventCount: 7, skippedRecordCount: 2 }
    const job = { tenantId: 'acme', plan, sources: [] }
    expect(await deliverTenant(newProcess(), job)).toMatchObject({ undeliverableCount: 7 })
    expect(await column('rejections', 'code')).toEqual(['damaged'])
    expect(await column('events', 'target')).toEqual(['a'])
    expect(await left()).toEqual({ duplicates: 0, undeliverable: 7 })
  })
})

describe('a crash', () => {
  /** All that a process changes in the lake goes through its store; from the k-th change on it fails. */
  class Crash extends Error {}
  function crashingStore(crashAt: number, when: 'before' | 'after') {
    let calls = 0
    const store = folderStore()
    const counted = new Set(['put', 'putFile', 'delete'])
    const proxy = new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name, target)
        if (!counted.has(String(name)))
          return typeof value === 'function' ? value.bind(target) : value
        return async (...args: unknown[]) => {
          if (calls >= crashAt) throw new Crash()
          const result = await value.apply(target, args)
          if (++calls === crashAt && when === 'after') throw new Crash()
          return result
        }
      },
    })
    return { store: proxy as ObjectStore, calls: () => calls }
  }

  async function fill(): Promise<void> {
    await append([event('a'), event('b')], { rejected: 1 })
    await append([event('c', { eventType: 'identify', userId: 'u1' })])
    await append([event('d', { eventId: 'x' }), event('d', { eventId: 'x' })], { rejected: 1 })
  }
  async function more(): Promise<void> {
    await append([event('f', { eventType: 'identify', userId: 'u2' })], { rejected: 1 })
  }
  async function expectEachRowOnce(): Promise<void> {
    expect((await column('events', 'target')).sort()).toEqual(['a', 'b', 'c', 'd', 'f'])
    expect((await column('identities', 'user_id')).sort()).toEqual(['u1', 'u2'])
    expect((await column('rejections', 'log_offset')).sort()).toEqual(['0', '2', '3'])
    const { progress } = await tablesOver(folderStore()).events.snapshot()
    expect(progress?.left).toEqual({ duplicates: 1, undeliverable: 0 })
  }

  test.each(['before', 'after'] as const)(
    '%s any change of the lake leaves each row exactly once in each table after a retry',
    async (when) => {
      const started = join(folder, 'lake')
      await fill()
      const counting = crashingStore(Number.POSITIVE_INFINITY, 'after')
      await deliver(newProcess(counting.store))
      const callCount = counting.calls()
      expect(callCount).toBeGreaterThan(12)
      rmSync(started, { recursive: true, force: true })

      const full = log
      let crashes = 0
      for (let k = when === 'before' ? 0 : 1; k <= callCount; k++) {
        rmSync(started, { recursive: true, force: true })
        log = await openDiskLog({
          folder: join(folder, `log-${when}-${k}`),
          files,
          clock,
          random: systemRandom,
        })
        await fill()
        await deliver(newProcess(crashingStore(k, when).store)).catch((error) => {
          expect(error).toBeInstanceOf(Crash)
          crashes++
        })
        // The next process finds more in the log, and takes a range that ends elsewhere.
        await more()
        await deliver(newProcess())
        await deliver(newProcess())
        await expectEachRowOnce()
        await log.close()
      }
      log = full
      expect(crashes).toBeGreaterThan(12)
    },
  )

  test('in a small range at a time, each interrupted once, loses and repeats nothing', async () => {
    await fill()
    await more()
    for (let round = 0; round < 40; round++) {
      await deliver(newProcess(crashingStore(round % 17, 'after').store), 1).catch(() => {})
    }
    while ((await deliver(newProcess(), 1)) !== undefined);
    await expectEachRowOnce()
  })

  test('two writers at once on one table: each row exactly once', async () => {
    await fill()
    await more()
    const second = await openParquetWriter()
    const outcomes = await Promise.allSettled([
      deliver({ ...newProcess(), spool: openSpool(join(folder, 'spool-1')) }),
      deliver({ ...newProcess(), writer: second, spool: openSpool(join(folder, 'spool-2')) }),
    ])
    second.close()
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'fulfilled'])
    while ((await deliver(newProcess())) !== undefined);
    await expectEachRowOnce()
  })
})

test('a writer keeps its epoch, and the next one takes a higher one', async () => {
  const first = newProcess()
  const epoch = async () =>
    (await tablesOver(folderStore()).events.snapshot()).progress?.writerEpoch
  const epochs: (number | undefined)[] = []
  for (const parts of [first, first, newProcess(), first]) {
    await append([event('a')])
    await deliver(parts)
    epochs.push(await epoch())
  }
  expect(epochs).toEqual([1, 1, 2, 3])
})

test('another log begins at its own offset 0', async () => {
  await append([event('a')])
  await deliver(newProcess())
  const first = log
  log = await openDiskLog({
    folder: join(folder, 'log-2'),
    files,
    clock,
    random: systemRandom,
  })
  await append([event('b')])
  await deliver(newProcess())
  await first.close()
  expect((await column('events', 'target')).sort()).toEqual(['a', 'b'])
})

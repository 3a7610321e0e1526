/**
 * What kills the delivery process, or what the engine fails on, from the log to the lake: the real
 * worker program around the real engine, but for markers that end or fail it.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { nodeFiles } from '../kit/files.ts'
import { FolderObjectStore } from '../lake/folder-object-store.ts'
import { LakeReader } from '../lake/lake-reader.ts'
import { ObjectStoreCatalog } from '../lake/object-store-catalog.ts'
import { type DiskLog, openDiskLog } from '../log/disk-log.ts'
import { forkDeliveryWorker } from './child-worker.ts'
import { DeliveryScheduler } from './scheduler.ts'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'millrace-poison-'))
const program = join(folder, 'worker.mjs')
const BUCKET = 'millrace-test'
const [ACME, OTHER] = [1, 2]

/** As the engine would: it is the events that kill, wherever their text stands among the refused. */
const WORKER = `
import { readFileSync } from 'node:fs'
import { openParquetWriter } from '${at('../adapters/duckdb/parquet-writer.ts')}'
import { serveDelivery } from '${at('./child-worker.ts')}'
import { JobFailure } from '${at('./delivery-job.ts')}'
import { deliveryParts } from '${at('../entrypoints/delivery-parts.ts')}'
const [dataFolder, bucket] = process.argv.slice(2)
const real = await openParquetWriter()
const write = async (request) => {
  for (const line of readFileSync(request.lines, 'utf8').trim().split('\\n')) {
    const { e, p } = JSON.parse(line)
    const events = JSON.stringify([e, p])
    if (events.includes('KILLS')) process.kill(process.pid, 'SIGKILL')
    if (events.includes('FAILS')) throw new JobFailure('Conversion Error: no such thing')
  }
  return real.write(request)
}
serveDelivery(process, deliveryParts(dataFolder, bucket, { ...real, write }))
`

beforeAll(async () => {
  symlinkSync(at('../../../../node_modules'), join(folder, 'node_modules'))
  await build({
    stdin: { contents: WORKER, resolveDir: folder, loader: 'ts' },
    outfile: program,
    bundle: true,
    format: 'esm',
    platform: 'node',
    external: ['@duckdb/node-api'],
    alias: { '@millrace/protocol': at('../../../protocol/src/index.ts') },
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
    },
    logLevel: 'error',
  })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let batchNumber = 0
const good = (name: string) => Array.from({ length: 20 }, (_, each) => `${name}-${each}`)

/** A log, a lake, and the worker between them; all is due at once, and waits pass without waiting. */
async function openPipeline(name: string) {
  const dataFolder = join(folder, name)
  const log = await openDiskLog({
    folder: join(dataFolder, 'log'),
    files: nodeFiles,
    clock: systemClock,
    random: systemRandom,
  })
  const store = new FolderObjectStore(nodeFiles, join(dataFolder, 'lake'), BUCKET, systemRandom)
  const lake = new LakeReader(store, new ObjectStoreCatalog(store), systemClock, systemRandom)
  let movedMs = 0
  const order: string[] = []
  const scheduler = new DeliveryScheduler({
    reader: log,
    worker: forkDeliveryWorker({ program, dataFolder, bucket: BUCKET }),
    tenant: (tenantNo) => {
      return { tenantId: tenantNo === ACME ? 'acme' : 'other', sources: [] }
    },
    deliveredOffset: (tenantId) => lake.offset(tenantId, log.logId),
    flushBytes: 1,
    clock: { now: () => systemClock.now() + movedMs },
    random: systemRandom,
    onDelivered: (tenantNo) => order.push(tenantNo === ACME ? 'acme' : 'other'),
  })
  return {
    dataFolder,
    log,
    lake,
    order,
    async drain() {
      while (log.pending(ACME, scheduler.progress(ACME) ?? 0).bytes > 0) {
        await scheduler.tick()
        movedMs += 5_000
      }
      await scheduler.stop()
      await log.close()
    },
  }
}

function append(log: DiskLog, tenantNo: number, targets: readonly string[], isPacked = false) {
  const now = Date.now()
  const events = targets.map((target) => {
    return { eventType: 'click', timestamp: now, path: '/', target }
  })
  const columns = { v: 1, t0: now, types: ['click'], targets, t: targets.map(() => 0) }
  const packed = { ...columns, target: [...targets.keys()] }
  return log.append({
    tenantNo,
    sourceNo: 1,
    receivedMs: now,
    sentMs: null,
    batchId: `b-${batchNumber++}`,
    eventCount: events.length,
    flags: 0,
    indexes: null,
    defaults: '{"path":"/"}',
    context: '{}',
    events: Buffer.from(isPacked ? '' : JSON.stringify(events)),
    packed: isPacked ? Buffer.from(JSON.stringify(packed)) : null,
    rejections: [],
  })
}

async function rowsOf(lake: LakeReader, table: 'events' | 'rejections', columns: string) {
  const { files } = await lake.snapshot('acme', table)
  const paths = files.map(({ localPath }) => `'${localPath}'`).join(', ')
  const connection = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect()
  const reader = await connection.runAndReadAll(`SELECT ${columns} FROM read_parquet([${paths}])`)
  connection.closeSync()
  return reader.getRowObjectsJson()
}

test.each([
  ['KILLS', 'the delivery process ended with SIGKILL'],
  ['FAILS', 'Conversion Error: no such thing'],
])(
  'an event that %s delivery becomes a rejection, and everything else is delivered',
  async (marker, detail) => {
    const { log, lake, order, drain } = await openPipeline(marker)
    for (let record = 0; record < 20; record++) await append(log, ACME, good(`a${record}`))
    await append(log, ACME, [...good('bad'), marker, 'last'])
    await append(log, OTHER, good('other'))
    for (let record = 0; record < 4; record++) await append(log, ACME, good(`z${record}`))
    await drain()
    expect(order.indexOf('other')).toBeLessThan(order.indexOf('acme'))
    const { recordCount, progress } = await lake.snapshot('acme', 'events')
    expect(recordCount).toBe(24 * 20 + 21)
    expect(progress?.left).toEqual({ duplicates: 0, undeliverable: 1 })
    const columns = 'stage, code, detail, event_index, raw, batch_id, log_offset'
    expect(await rowsOf(lake, 'rejections', columns)).toEqual([
      {
        stage: 'delivery',
        code: 'undeliverable',
        detail,
        event_index: 20,
        raw: expect.stringContaining(`"target":"${marker}"`),
        batch_id: expect.any(String),
        log_offset: '20',
      },
    ])
    const [{ rows }] = (await rowsOf(lake, 'events', 'count(DISTINCT target) AS rows')) as [
      { rows: string },
    ]
    expect(Number(rows)).toBe(recordCount)
  },
  60_000,
)

test('a packed batch that fails becomes one rejection, and each of its events is counted', async () => {
  const { log, lake, drain } = await openPipeline('packed')
  await append(log, ACME, good('a'), true)
  await append(log, ACME, [...good('bad'), 'FAILS'], true)
  await append(log, ACME, good('z'), true)
  await drain()
  const { recordCount, progress } = await lake.snapshot('acme', 'events')
  expect([recordCount, progress?.left?.undeliverable]).toEqual([40, 21])
  expect(await rowsOf(lake, 'rejections', 'code, detail, event_index, raw')).toEqual([
    {
      code: 'undeliverable',
      detail: '21 events of one record: Conversion Error: no such thing',
      event_index: -1,
      raw: expect.stringMatching(/^\{"v":1,.*FAILS/),
    },
  ])
})

test('a record that is damaged while the log runs is counted, and its neighbours are delivered', async () => {
  const { dataFolder, log, lake, drain } = await openPipeline('damage')
  await append(log, ACME, good('a'))
  await append(log, ACME, good('hit'))
  await append(log, ACME, good('z'))
  const [segment] = readdirSync(join(dataFolder, 'log')).filter((name) => name.endsWith('.ndjson'))
  const path = join(dataFolder, 'log', segment!)
  writeFileSync(path, readFileSync(path, 'utf8').replace('hit-7', 'hit-8'))
  await drain()
  const { recordCount, progress } = await lake.snapshot('acme', 'events')
  expect([recordCount, progress?.left?.undeliverable]).toEqual([40, 20])
  expect(log.totals(ACME).acceptedCount).toBe(60)
  expect(await rowsOf(lake, 'rejections', 'stage, code, detail')).toEqual([
    {
      stage: 'delivery',
      code: 'damaged',
      detail: expect.stringContaining('20 events in 1 records'),
    },
  ])
})

import { cp, mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemRandom } from '../kit/clock.ts'
import { type FileSystem, nodeFiles } from '../kit/files.ts'
import { type DiskLog, type DiskLogOptions, openDiskLog } from './disk-log.ts'
import { entryOf, linesOf, withoutSync } from './event-log.contract.ts'
import { LogBusy } from './event-log.ts'
import { holdingBack, SETTLE_MS, segmentsToDrop } from './retention.ts'
import { type HeaderReading, readHeader } from './segment.ts'
import { readSidecar, SidecarRows, sidecarName } from './sidecar.ts'

const ALL = 1 << 30
const HOUR_MS = 3_600_000

describe('the decision', () => {
  /** Ten bytes, its newest record received at `newestMs`, one record of each tenant named. */
  const segment = (newestMs: number, nextOffsets: Readonly<Record<number, number>>) => ({
    newestMs,
    endByte: 10,
    *tenants() {
      for (const [tenantNo, nextOffset] of Object.entries(nextOffsets)) {
        const counts = { recordCount: 1, acceptedCount: 1, rejectedCount: 0 }
        yield { tenantNo: Number(tenantNo), nextOffset, ...counts }
      }
    },
  })
  const three = [segment(0, { 1: 1 }), segment(10, { 1: 2, 2: 3 }), segment(20, { 1: 4 })]
  const all = { nowMs: 20, keepMs: 100, missingBytes: 0, deliveredOffset: () => 99 }

  test('a delivered segment goes when its newest record is old enough, not a moment before', () => {
    expect(segmentsToDrop(three, { ...all, nowMs: 109 })).toBe(1)
    expect(segmentsToDrop(three, { ...all, nowMs: 110 })).toBe(2)
    expect(segmentsToDrop(three, { ...all, keepMs: 0 })).toBe(3)
  })

  test('under pressure as many go as the disk is short of, and no more', () => {
    expect(segmentsToDrop(three, { ...all, missingBytes: 1 })).toBe(1)
    expect(segmentsToDrop(three, { ...all, missingBytes: 11 })).toBe(2)
    expect(segmentsToDrop(three, { ...all, missingBytes: 1e9 })).toBe(3)
  })

  test('one undelivered record holds its segment and those behind it, whatever age or pressure', () => {
    for (const missingBytes of [0, 1e15]) {
      for (const keepMs of [0, 100]) {
        const at = { ...all, nowMs: 1e15, keepMs, missingBytes }
        const delivered = (upTo: Record<number, number>) => (tenantNo: number) =>
          upTo[tenantNo] ?? 0
        const count = (upTo: Record<number, number>) =>
          segmentsToDrop(three, { ...at, deliveredOffset: delivered(upTo) })
        expect(count({})).toBe(0)
        expect(count({ 1: 0, 2: 9 })).toBe(0)
        expect(count({ 1: 9 })).toBe(1)
        expect(count({ 1: 9, 2: 2 })).toBe(1)
        expect(count({ 1: 9, 2: 3 })).toBe(3)
      }
    }
  })

  test('who holds the oldest back is named only when it would go otherwise', () => {
    const deliveredOffset = (tenantNo: number) => (tenantNo === 1 ? 9 : 0)
    const rest = three.slice(1)
    expect(holdingBack(rest, { ...all, nowMs: 110, deliveredOffset })).toEqual([2])
    expect(holdingBack(rest, { ...all, missingBytes: 1, deliveredOffset })).toEqual([2])
    expect(holdingBack(rest, { ...all, nowMs: 109, deliveredOffset })).toEqual([])
    expect(holdingBack(rest, { ...all, nowMs: 110 })).toEqual([])
    expect(holdingBack([], { ...all, nowMs: 110 })).toEqual([])
  })
})

let folder = ''
let nowMs = 0
let faults: unknown[] = []
let freeBytes = 1e12
const open: DiskLog[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-retention-'))
  nowMs = 1_700_000_000_000
  faults = []
  freeBytes = 1e12
})
afterEach(async () => {
  for (const log of open.splice(0)) await log.close()
  await rm(folder, { recursive: true, force: true })
})

const unsynced: FileSystem = { ...withoutSync(nodeFiles), freeBytes: async () => freeBytes }

async function openAt(more: Partial<DiskLogOptions> = {}): Promise<DiskLog> {
  const log = await openDiskLog({
    folder,
    files: unsynced,
    clock: { now: () => nowMs },
    random: systemRandom,
    segmentBytesMax: 800,
    onFault: (error) => faults.push(error),
    ...more,
  })
  open.push(log)
  return log
}

/** Batch `b<turn>` of tenant 1, every fourth of tenant 2, one minute apart, each its own group. */
async function fill(log: DiskLog, count: number): Promise<void> {
  for (let turn = log.end(); count-- > 0; turn++) {
    nowMs += 60_000
    await log.append(batch(turn))
  }
}

function batch(turn: number) {
  const tenantNo = turn % 4 === 3 ? 2 : 1
  return entryOf(`b${turn}`, 1 + (turn % 3), { tenantNo, receivedMs: nowMs })
}

/** Everything is in the lake, and has been for long enough. */
async function deliver(log: DiskLog, upTo = log.end()): Promise<void> {
  for (const tenantNo of log.tenants()) log.commit(tenantNo, upTo)
  nowMs += SETTLE_MS
}

const segments = async () => (await readdir(folder)).filter((name) => name.endsWith('.ndjson'))
const totals = (log: DiskLog) => [log.totals(1), log.totals(2)]
const idsFrom = async (log: DiskLog, from: number) => {
  const both = [...linesOf(await log.read(1, from, ALL)), ...linesOf(await log.read(2, from, ALL))]
  return both.sort((left, right) => left.o - right.o).map(({ b }) => b)
}

describe('dropping', () => {
  test('delivered and old segments go; totals, offsets and what is kept stay, after a start too', async () => {
    const log = await openAt()
    await fill(log, 20)
    const before = totals(log)
    const end = log.end()
    await deliver(log, 13)
    nowMs += 24 * HOUR_MS
    await log.retain()
    expect(log.kept().droppedSegmentCount).toBeGreaterThan(2)
    const kept = await segments()
    expect(log.kept().segmentCount).toBe(kept.length)
    expect(totals(log)).toEqual(before)
    const waiting = await idsFrom(log, 13)
    expect(waiting).toEqual(['b13', 'b14', 'b15', 'b16', 'b17', 'b18', 'b19'])
    await log.close()

    const again = await openAt()
    expect(again.logId).toBe(log.logId)
    expect(again.end()).toBe(end)
    expect(totals(again)).toEqual(before)
    expect(await idsFrom(again, 13)).toEqual(waiting)
    expect(await again.append(entryOf('more'))).toMatchObject({ offset: 20 })
    await deliver(again)
    nowMs += 24 * HOUR_MS
    await again.retain()
    expect(again.totals(1).recordCount).toBe(before[0]!.recordCount + 1)
    expect((await segments()).length).toBeLessThan(kept.length)
    await again.close()
    const last = await openAt()
    expect(totals(last)).toEqual(totals(again))
    expect(last.recovered.rebuiltSidecars).toBe(0)
    expect(faults).toEqual([])
  })

  test('neither age nor a full disk takes what is not delivered, nor the open segment', async () => {
    const log = await openAt({ keepMs: 0 })
    await fill(log, 12)
    const all = await segments()
    nowMs += 1_000 * HOUR_MS
    freeBytes = 0
    await log.retain()
    expect(await segments()).toEqual(all)
    // Tenant 2, whose first batch is b3, has delivered nothing.
    log.commit(1, log.end())
    nowMs += SETTLE_MS
    await log.retain()
    expect((await segments()).length).toBeLessThan(all.length)
    await log.close()
    const held = await openAt({ keepMs: 0 })
    const ids = linesOf(await held.read(2, 0, ALL)).map(({ b }) => b)
    expect(ids).toEqual(['b3', 'b7', 'b11'])
    await deliver(held)
    await held.retain()
    expect(await segments()).toEqual(all.slice(-1))
  })

  test('a commit counts only after queries that read before it have ended', async () => {
    const log = await openAt({ keepMs: 0 })
    await fill(log, 12)
    const all = await segments()
    for (const tenantNo of [1, 2]) log.commit(tenantNo, 12)
    nowMs += SETTLE_MS - 1
    await log.retain()
    expect(await segments()).toEqual(all)
    expect(await idsFrom(log, 0)).toHaveLength(12)
    nowMs += 1
    await log.retain()
    expect(await segments()).toEqual(all.slice(-1))
  })

  test('a commit that is taken back holds its segments again', async () => {
    const log = await openAt({ keepMs: 0 })
    await fill(log, 12)
    await deliver(log, 4)
    for (const tenantNo of [1, 2]) log.commit(tenantNo, 12)
    nowMs += SETTLE_MS / 2
    for (const tenantNo of [1, 2]) log.commit(tenantNo, 4)
    nowMs += SETTLE_MS / 2
    await log.retain()
    expect(log.kept().droppedSegmentCount).toBe(0)
    nowMs += SETTLE_MS / 2
    await log.retain()
    expect(log.kept().droppedSegmentCount).toBeGreaterThan(0)
    expect(await idsFrom(log, 4)).toHaveLength(8)
    expect(log.pending(1, 4).recordCount).toBe(6)
  })

  test('under pressure a young delivered segment goes, and the batches it held are forgotten', async () => {
    const log = await openAt({ pressureBytes: 1_000 })
    await fill(log, 12)
    await deliver(log)
    const all = await segments()
    await log.retain()
    expect(await segments()).toEqual(all)
    freeBytes = 999
    await log.retain()
    expect(await segments()).toEqual(all.slice(1))
    await log.close()
    const again = await openAt()
    const [first] = linesOf(await again.read(1, 0, ALL))
    expect(await again.append(batch(first.o))).toMatchObject({ duplicate: true })
    expect(await again.append(batch(0))).toMatchObject({ duplicate: false, offset: 12 })
  })

  test('who holds the oldest segment back is named, and again only after a while', async () => {
    const named: (readonly number[])[] = []
    const log = await openAt({ onHeldBack: (tenants) => named.push(tenants) })
    await fill(log, 12)
    log.commit(1, 12)
    nowMs += 23 * HOUR_MS
    await log.retain()
    expect(named).toEqual([])
    nowMs += 2 * HOUR_MS
    await log.retain()
    await log.retain()
    expect(named).toEqual([[2]])
    nowMs += HOUR_MS
    await log.retain()
    expect(named).toEqual([[2], [2]])
  })

  test('a lake that went back is reported; after the next start it gets what is kept', async () => {
    const log = await openAt()
    await fill(log, 12)
    await deliver(log)
    await log.retain()
    expect(log.pending(1, 0).recordCount).toBe(0)
    log.commit(1, 4)
    expect(faults).toMatchObject([{ code: 'data_damaged' }])
    await log.close()
    const again = await openAt({ delivered: async () => new Map([[1, 4]]) })
    expect(linesOf(await again.read(1, 4, ALL)).map(({ b }) => b)).toEqual([
      'b4',
      'b5',
      'b6',
      'b8',
      'b9',
      'b10',
    ])
    again.commit(1, 4)
    expect(faults).toHaveLength(1)
    expect(totals(again)).toEqual(totals(log))
  })
})

describe('a crash while segments are dropped', () => {
  /** Fails call `failAt` and every later one, as a process that is gone does. */
  function dying(failAt: number): { files: FileSystem; count(): number } {
    let calls = 0
    const step = <T>(what: () => Promise<T>) =>
      ++calls >= failAt ? Promise.reject(new Error(`gone at call ${calls}`)) : what()
    const files: FileSystem = {
      ...unsynced,
      open: async (path, mode) => {
        if (mode === 'create') await step(async () => {})
        const file = await unsynced.open(path, mode)
        return Object.assign(file, {
          write: (
            (write) => (bytes: Uint8Array, position: number) =>
              step(() => write(bytes, position))
          )(file.write.bind(file)),
          sync: () => step(async () => {}),
        })
      },
      rename: (from, to) => step(() => unsynced.rename(from, to)),
      remove: (path) => step(() => unsynced.remove(path)),
      syncFolder: (path) => step(() => unsynced.syncFolder(path)),
    }
    return { files, count: () => calls }
  }

  test('at any call: totals, offsets, undelivered records and kept batch ids are the same', async () => {
    const log = await openAt()
    await fill(log, 20)
    const expected = { totals: totals(log), waiting: await idsFrom(log, 13) }
    await log.close()
    const origin = join(folder, 'origin')
    for (const name of await readdir(folder)) await cp(join(folder, name), join(origin, name))

    const drop = async (files: FileSystem) => {
      const dropping = await openAt({ files, folder: join(folder, 'log') })
      await deliver(dropping, 13)
      nowMs += 24 * HOUR_MS
      await dropping.retain()
      await dropping.close()
      return dropping.kept().droppedSegmentCount
    }
    const again = () => rm(join(folder, 'log'), { recursive: true, force: true })
    const fresh = () => again().then(() => cp(origin, join(folder, 'log'), { recursive: true }))

    await fresh()
    const opening = dying(1e9)
    await (await openAt({ files: opening.files, folder: join(folder, 'log') })).close()
    await fresh()
    const whole = dying(1e9)
    expect(await drop(whole.files)).toBeGreaterThan(2)
    expect(whole.count() - opening.count()).toBeGreaterThan(8)
    for (let failAt = opening.count() + 1; failAt <= whole.count(); failAt++) {
      await fresh()
      await drop(dying(failAt).files)
      const after = await openAt({ folder: join(folder, 'log') })
      const what = `gone at call ${failAt}`
      expect(totals(after), what).toEqual(expected.totals)
      expect(await idsFrom(after, 13), what).toEqual(expected.waiting)
      expect(after.end(), what).toBe(20)
      for (let turn = 13; turn < 20; turn++) {
        expect(await after.append(batch(turn)), what).toMatchObject({ duplicate: true })
      }
      expect(await after.append(entryOf('after')), what).toMatchObject({ offset: 20 })
      await deliver(after)
      nowMs += 24 * HOUR_MS
      await after.retain()
      expect(after.totals(2), what).toEqual(expected.totals[1])
      await after.close()
    }
  })

  test('segments that came back out of order after a power loss are removed again', async () => {
    const log = await openAt()
    await fill(log, 20)
    const expected = totals(log)
    const [first, second, third] = await segments()
    const kept = await readFile(join(folder, second!))
    await deliver(log, 13)
    nowMs += 24 * HOUR_MS
    await log.retain()
    await log.close()
    const left = await segments()
    expect(left).not.toContain(third)
    await writeFile(join(folder, second!), kept)
    const again = await openAt()
    expect(totals(again)).toEqual(expected)
    expect(await segments()).toEqual(left)
    expect(left).not.toContain(first)
  })

  test('a removal that fails is reported, and done later', async () => {
    let isBroken = true
    const files: FileSystem = {
      ...unsynced,
      remove: (path) =>
        isBroken && path.endsWith('.ndjson')
          ? Promise.reject(new Error('not now'))
          : unsynced.remove(path),
    }
    const log = await openAt({ files })
    await fill(log, 12)
    const all = await segments()
    await deliver(log)
    nowMs += 24 * HOUR_MS
    await log.retain()
    expect(faults).toHaveLength(1)
    expect(await segments()).toEqual(all)
    isBroken = false
    await log.retain()
    expect(await segments()).toEqual(all.slice(-1))
  })
})

describe('the file of what is gone', () => {
  const RETIRED = 'retired.json'
  const dropped = async () => {
    const log = await openAt()
    await fill(log, 20)
    await deliver(log, 13)
    nowMs += 24 * HOUR_MS
    await log.retain()
    await log.close()
    return log
  }

  test('with any byte changed: reported, the log opens with what is there, nothing is removed', async () => {
    await dropped()
    const whole = await readFile(join(folder, RETIRED))
    const kept = await segments()
    for (let byte = 0; byte < whole.length; byte += 7) {
      const flipped = Buffer.from(whole)
      flipped[byte]! ^= 1
      await writeFile(join(folder, RETIRED), flipped)
      faults = []
      const log = await openAt()
      expect(faults, `byte ${byte}`).toMatchObject([{ code: 'data_damaged' }])
      expect(await segments()).toEqual(kept)
      expect(await idsFrom(log, 13)).toHaveLength(7)
      await log.close()
    }
  })

  test('of a later version stops the start', async () => {
    await dropped()
    const later = '{"format":"millrace-log-retired","version":2,"more":1}\n'
    await writeFile(join(folder, RETIRED), later)
    await expect(openAt()).rejects.toMatchObject({ code: 'data_newer' })
    expect(await readFile(join(folder, RETIRED), 'utf8')).toBe(later)
  })

  test('of another log is reported and removes nothing', async () => {
    await dropped()
    const foreign = await readFile(join(folder, RETIRED))
    for (const name of await readdir(folder)) await unlink(join(folder, name))
    nowMs = 1_700_000_000_000
    const other = await openAt()
    await fill(other, 20)
    await other.close()
    const all = await segments()
    await writeFile(join(folder, RETIRED), foreign)
    const log = await openAt()
    expect(faults).toMatchObject([{ code: 'data_damaged' }])
    expect(await segments()).toEqual(all)
    expect(log.totals(1).recordCount + log.totals(2).recordCount).toBe(20)
  })

  test('says so when more segments are missing than it counts', async () => {
    const log = await dropped()
    const [first] = await segments()
    await unlink(join(folder, first!))
    const again = await openAt()
    expect(faults).toMatchObject([{ code: 'data_damaged' }])
    expect(again.end()).toBe(20)
    const count = (each: DiskLog) => each.totals(1).recordCount + each.totals(2).recordCount
    expect(count(again)).toBeLessThan(count(log))
    expect(count(again)).toBeGreaterThan(10)
  })
})

describe('batches of older segments', () => {
  test('are known with their counts, from the sidecar or without one; new ones are taken', async () => {
    const log = await openAt({ exactBatches: 1 })
    await fill(log, 20)
    for (const name of await readdir(folder)) {
      if (/[02468].index$/.test(name)) await unlink(join(folder, name))
    }
    for (let turn = 0; turn < 20; turn++) {
      const again = await log.append(batch(turn))
      expect(again).toMatchObject({ duplicate: true, conflict: false })
      expect(again.acceptedCount).toBe(1 + (turn % 3))
    }
    await fill(log, 5)
    expect(log.end()).toBe(25)
    await log.close()
    const reopened = await openAt({ exactBatches: 1 })
    for (let turn = 0; turn < 25; turn++) {
      expect(await reopened.append(batch(turn))).toMatchObject({ duplicate: true })
    }
    expect(reopened.end()).toBe(25)
  })

  test('twice at once, while they are looked up: both are duplicates, or one is appended', async () => {
    const log = await openAt({ exactBatches: 1 })
    await fill(log, 20)
    const twice = () => Promise.all([log.append(batch(0)), log.append(batch(0))])
    expect(await twice()).toMatchObject([{ duplicate: true }, { duplicate: true }])
    await log.close()
    // A sidecar of other batches: suspicion of the first one, but it is not there.
    const segment = await readFile(join(folder, '0000000000000000.ndjson'))
    const { header, endByte } = readHeader(segment) as HeaderReading & { kind: 'header' }
    const path = join(folder, sidecarName(0))
    const rows = new SidecarRows()
    for (const row of readSidecar(await readFile(path), header, endByte, segment.length)!) {
      rows.add({ ...row, key: { ...row.key, d: row.key.d ^ 1 } })
    }
    await writeFile(path, rows.encode(header, segment.length))
    const again = await openAt({ exactBatches: 1 })
    const both = await Promise.all([again.append(batch(0)), again.append(batch(0))])
    expect(both.map(({ duplicate }) => duplicate)).toEqual([false, true])
    expect(again.end()).toBe(21)
  })

  test('are refused as busy beyond a bound, and new ones are not', async () => {
    const log = await openAt({ exactBatches: 1 })
    await fill(log, 20)
    const more = { tenantNo: 1, receivedMs: nowMs }
    await Promise.all(
      Array.from({ length: 100 }, (_, turn) => log.append(entryOf(`m${turn}`, 1, more))),
    )
    await fill(log, 5)
    const again = Array.from({ length: 100 }, (_, turn) => log.append(entryOf(`m${turn}`, 1, more)))
    const fresh = log.append(entryOf('fresh', 1, more))
    const answers = await Promise.allSettled(again)
    const busy = answers.filter(({ status }) => status === 'rejected')
    expect(busy).toHaveLength(36)
    expect(busy[0]).toMatchObject({ reason: expect.any(LogBusy) })
    expect(await fresh).toMatchObject({ duplicate: false })
  })

  test('that cannot be looked up are refused, and nothing is appended', async () => {
    let isBroken = false
    const files: FileSystem = {
      ...unsynced,
      open: (path, mode) =>
        isBroken && mode === 'read'
          ? Promise.reject(Object.assign(new Error('no'), { code: 'EIO' }))
          : unsynced.open(path, mode),
    }
    const log = await openAt({ files, exactBatches: 1 })
    await fill(log, 20)
    isBroken = true
    await expect(log.append(batch(0))).rejects.toMatchObject({ code: 'data_unreadable' })
    expect(await log.append(entryOf('new'))).toMatchObject({ offset: 20 })
    isBroken = false
    expect(await log.append(batch(0))).toMatchObject({ duplicate: true })
  })

  test('of dropped segments are new again', async () => {
    const log = await openAt({ exactBatches: 1 })
    await fill(log, 20)
    await deliver(log)
    nowMs += 24 * HOUR_MS
    await log.retain()
    expect(await log.append(batch(0))).toMatchObject({ duplicate: false, offset: 20 })
  })
})

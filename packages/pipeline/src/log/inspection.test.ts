/** Damage met while the log runs: the rest is served at once, and what is missing is counted. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemClock, systemRandom } from '../kit/clock.ts'
import type { FileSystem } from '../kit/files.ts'
import { type MemoryFiles, memoryFiles } from '../kit/memory-files.ts'
import type { DamageReport } from './damage.ts'
import { type DiskLog, openDiskLog } from './disk-log.ts'
import { entryOf, linesOf } from './event-log.contract.ts'
import { readPlanned } from './read-plan.ts'
import { segmentName } from './segment.ts'

const ALL = 1 << 30
const FOLDER = '/log'
const path = (segment: number) => join(FOLDER, segmentName(segment))

async function running(files: FileSystem, segmentBytesMax = 1_200) {
  const reports: DamageReport[] = []
  const log = await openDiskLog({
    ...{ folder: FOLDER, files, clock: systemClock, random: systemRandom, segmentBytesMax },
    onDamage: (report) => reports.push(report),
  })
  return { log, reports }
}

/** Four records a segment, tenants 1 and 2 in turn, two events each. */
async function filled(files: FileSystem, count: number, segmentBytesMax?: number) {
  const { log, reports } = await running(files, segmentBytesMax)
  for (let turn = 0; turn < count; turn++) {
    await log.append(entryOf(`b${turn}`, 2, { tenantNo: 1 + (turn % 2) }))
  }
  return { log, reports }
}

const idsOf = async (log: DiskLog, tenantNo: number, from = 0) =>
  linesOf(await log.read(tenantNo, from, ALL)).map(({ b }) => b)

/** Spoils a byte of the record with this offset; `at` counts from its start, or from its end. */
function spoil(files: MemoryFiles, log: DiskLog, tenantNo: number, offset: number, at: number) {
  const piece = log.plan(tenantNo, offset, 1)!.pieces[0]!
  const byte = at < 0 ? piece.endByte + at : piece.startByte + at
  files.get(path(piece.segment))![byte]! ^= 4
  return piece
}

test.each([
  ['its body', 60],
  ['the last digit of its k', -4],
  ['the brace behind its k', -2],
  ['its newline', -1],
  ['its first byte', 0],
])('a record damaged in %s is passed over, and its neighbours are served', async (_, at) => {
  const files = memoryFiles()
  const { log, reports } = await filled(files, 12)
  const { segment } = spoil(files, log, 1, 2, at)
  expect(await idsOf(log, 1)).toEqual(['b0', 'b4', 'b6', 'b8', 'b10'])
  expect(await idsOf(log, 2)).toEqual(['b1', 'b3', 'b5', 'b7', 'b9', 'b11'])
  expect(reports).toMatchObject([
    {
      segment,
      recordCount: 1,
      damaged: [{ firstOffset: 2, endOffset: 3 }],
      tenants: [{ tenantNo: 1, recordCount: 1, eventCount: 2 }],
      quarantined: expect.stringMatching(/^quarantine\/0000000000000000-\d+\.ndjson$/),
    },
  ])
  expect(log.damage()).toEqual({ recordCount: 1, segmentCount: 1 })
  expect(log.totals(1)).toMatchObject({ acceptedCount: 12, recordCount: 6, damagedCount: 2 })
  expect(log.pending(1, 0)).toMatchObject({ recordCount: 6, eventCount: 12 })
  expect(log.fault()).toBeUndefined()

  const plan = log.plan(1, 0, ALL)!
  expect(plan).toMatchObject({ recordCount: 5, eventCount: 10, nextOffset: 11 })
  expect(plan).toMatchObject({ skippedRecordCount: 1, skippedEventCount: 2 })
  const range = await readPlanned(files, JSON.parse(JSON.stringify(plan)))
  expect(range.lines.byteLength).toBe(plan.bytes)
  await log.close()

  // The same after a restart: the sidecar knows whose record it was.
  const again = await running(files)
  expect(again.log.totals(1)).toMatchObject({ acceptedCount: 12, damagedCount: 2 })
  expect(await idsOf(again.log, 2)).toHaveLength(6)
  expect(await idsOf(again.log, 1)).toHaveLength(5)
  expect(again.reports).toEqual([])
  await again.log.close()
})

test('a plan of damaged records alone has no piece and goes on behind them', async () => {
  const files = memoryFiles()
  const { log } = await filled(files, 4)
  for (const offset of [1, 3]) spoil(files, log, 2, offset, 50)
  expect(await log.read(2, 0, ALL)).toBeUndefined()
  expect(log.plan(2, 0, ALL)).toMatchObject({
    ...{ pieces: [], bytes: 0, recordCount: 0, eventCount: 0, nextOffset: 4 },
    ...{ skippedRecordCount: 2, skippedEventCount: 4 },
  })
  expect(await readPlanned(files, log.plan(2, 0, ALL)!)).toMatchObject({ recordCount: 0 })
  await log.close()
})

test('damage in the open segment: the next batch begins another one, and both are read', async () => {
  const files = memoryFiles()
  const { log } = await filled(files, 4, 1 << 20)
  spoil(files, log, 1, 2, 50)
  const appends = [4, 5, 6].map((turn) => log.append(entryOf(`b${turn}`, 2, { tenantNo: 1 })))
  expect(await idsOf(log, 1)).toEqual(expect.arrayContaining(['b0']))
  await Promise.all(appends)
  await log.append(entryOf('b7', 2))
  expect(await idsOf(log, 1)).toEqual(['b0', 'b4', 'b5', 'b6', 'b7'])
  expect(log.plan(1, 7, 1)!.pieces[0]!.segment).toBe(1)
  await log.close()
  const again = await running(files)
  expect(await idsOf(again.log, 1)).toEqual(['b0', 'b4', 'b5', 'b6', 'b7'])
  expect(again.log.end()).toBe(8)
  await again.log.close()
})

test('what is appended while a segment is looked through is not taken for damage', async () => {
  const files = memoryFiles()
  let free = () => {}
  const gate = new Promise<void>((resolve) => {
    free = resolve
  })
  let isHeld = false
  const slow: FileSystem = {
    ...files,
    open: async (opened, mode) => {
      const file = await files.open(opened, mode)
      const read = async (position: number, length: number) => {
        if (isHeld && position === 0) await gate
        return file.read(position, length)
      }
      return { ...file, read }
    },
  }
  const { log, reports } = await filled(slow, 3, 1 << 20)
  spoil(files, log, 2, 1, 50)
  isHeld = true
  const inspecting = log.inspect(0)
  for (const id of ['c0', 'c1']) await log.append(entryOf(id, 2))
  free()
  await inspecting
  expect(await idsOf(log, 1)).toEqual(['b0', 'b2', 'c0', 'c1'])
  expect(reports).toMatchObject([{ recordCount: 1 }])
  await log.close()
})

test('a look at a whole segment finds nothing, and one at known damage nothing new', async () => {
  const files = memoryFiles()
  const { log, reports } = await filled(files, 8)
  await log.inspect(0)
  expect(reports).toEqual([])
  spoil(files, log, 1, 2, 50)
  await Promise.all([log.inspect(0), log.inspect(0), log.read(1, 0, ALL), log.read(1, 2, ALL)])
  await log.inspect(0)
  expect(reports).toHaveLength(1)
  spoil(files, log, 1, 0, 50)
  await log.inspect(0)
  expect(reports[1]).toMatchObject({ segment: 0, recordCount: 2 })
  expect(log.damage()).toEqual({ recordCount: 2, segmentCount: 1 })
  await log.close()
})

test.each([
  ['EIO', 'a disk that cannot read a segment'],
  ['ENOENT', 'a segment that somebody removed'],
])('%s: %s costs what is in it; the rest is served', async (code) => {
  const files = memoryFiles()
  let isBad = false
  const failing: FileSystem = {
    ...files,
    open: async (opened, mode) => {
      const bad = isBad && opened === path(0)
      const error = Object.assign(new Error(code), { code })
      if (bad && code === 'ENOENT') throw error
      const file = await files.open(opened, mode)
      return bad ? { ...file, read: () => Promise.reject(error) } : file
    },
  }
  const { log, reports } = await filled(failing, 12)
  const whole = await idsOf(log, 1)
  isBad = true
  const rest = await idsOf(log, 1)
  expect(rest.length).toBeLessThan(whole.length)
  expect(rest).toEqual(whole.slice(-rest.length))
  expect(reports).toMatchObject([{ segment: 0, isUnreadable: code === 'EIO' }])
  expect(log.totals(1).damagedCount).toBe(2 * (whole.length - rest.length))
  await log.close()
  isBad = false
  const again = await running(files)
  expect(await idsOf(again.log, 1)).toEqual(whole)
  await again.log.close()
})

test('no file handle left is no damage: the read fails, nothing is marked', async () => {
  const files = memoryFiles()
  let isOut = false
  const failing: FileSystem = {
    ...files,
    open: (opened, mode) =>
      isOut
        ? Promise.reject(Object.assign(new Error('EMFILE'), { code: 'EMFILE' }))
        : files.open(opened, mode),
  }
  const { log, reports } = await filled(failing, 4)
  isOut = true
  await expect(log.read(1, 0, ALL)).rejects.toMatchObject({ code: 'data_unreadable' })
  isOut = false
  expect(await idsOf(log, 1)).toEqual(['b0', 'b2'])
  expect(reports).toEqual([])
  await log.close()
})

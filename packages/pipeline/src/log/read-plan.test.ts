import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { nodeFiles } from '../kit/files.ts'
import { type DiskLog, openDiskLog } from './disk-log.ts'
import { entryOf } from './event-log.contract.ts'
import { readPlanned, reusedMemory } from './read-plan.ts'
import { segmentName } from './segment.ts'

const ALL = 1 << 30
/** Some 34 KB each, so that three in a row are a large piece and one alone is a small one. */
const EVENTS = 400
let folder: string
let log: DiskLog

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-plan-'))
  log = await openDiskLog({ folder, files: nodeFiles, clock: systemClock, random: systemRandom })
  for (const [at, tenantNo] of [1, 1, 1, 2, 1, 2, 2, 2].entries()) {
    await log.append(entryOf(`batch-${at}`, EVENTS, { tenantNo }))
  }
})
afterEach(async () => {
  await log.close()
  await rm(folder, { recursive: true })
})

const offsetsIn = (lines: Uint8Array) =>
  [
    ...Buffer.from(lines)
      .toString()
      .matchAll(/^\{"o":(\d+),/gm),
  ].map(([, offset]) => Number(offset))

describe('a plan with large and small pieces', () => {
  test('is read into one room after the other, or into the same again', async () => {
    const memory = reusedMemory()
    const least = await readPlanned(nodeFiles, log.plan(1, 4, ALL)!, memory)
    expect(offsetsIn(least.lines)).toEqual([4])
    for (const [tenantNo, offsets] of [
      [1, [0, 1, 2, 4]],
      [2, [3, 5, 6, 7]],
      [1, [0, 1, 2, 4]],
    ] as const) {
      const plan = log.plan(tenantNo, 0, ALL)!
      expect(plan.pieces).toHaveLength(2)
      const fresh = await readPlanned(nodeFiles, plan)
      const again = await readPlanned(nodeFiles, plan, memory)
      expect(offsetsIn(again.lines)).toEqual(offsets)
      expect(Buffer.from(again.lines).equals(Buffer.from(fresh.lines))).toBe(true)
    }
    const last = await readPlanned(nodeFiles, log.plan(1, 4, ALL)!, memory)
    expect(offsetsIn(last.lines)).toEqual([4])
  })

  test.each([1, 3, 4, 7])('says so when record %i is damaged', async (offset) => {
    const tenantNo = [1, 1, 1, 2, 1, 2, 2, 2][offset]!
    const plan = log.plan(tenantNo, offset, 1)!
    const file = await open(join(folder, segmentName(0)), 'r+')
    await file.write('x', plan.pieces[0]!.startByte + 1_000)
    await file.close()
    const whole = log.plan(tenantNo, 0, ALL)!
    await expect(readPlanned(nodeFiles, whole, reusedMemory())).rejects.toMatchObject({
      code: 'data_damaged',
      message: expect.stringContaining(`offset ${offset} `),
    })
  })

  test('says so when the end of the line before a piece is not its seed', async () => {
    const [large] = log.plan(2, 4, ALL)!.pieces
    const file = await open(join(folder, segmentName(0)), 'r+')
    await file.write('00000000', large!.startByte - 11)
    await file.close()
    const plan = log.plan(2, 4, ALL)!
    await expect(readPlanned(nodeFiles, plan)).rejects.toMatchObject({ code: 'data_damaged' })
  })
})

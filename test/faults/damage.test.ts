/**
 * Bytes that are not what was written: lost or changed on their way to the disk, changed while they lay
 * there, or more than was ever written. Whatever is served is right, the rest is said to be damaged.
 *
 * `node bench/flips.mjs` flips ten thousand bits; here it is two hundred.
 */
import { appendFileSync, mkdtempSync, readFileSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { BitFlips, type FlipOutcome } from '../support/bit-flips.mjs'
import { seeded } from '../support/seeded.mjs'
import { stopAll, stopped } from '../support/server.mjs'
import { straceWorks } from '../support/strace.mjs'
import { Rig } from './rig.ts'

// Each starts several servers under strace; a busy machine takes its time, and may.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const works = straceWorks()
const FLIPS = 100

afterEach(stopAll)

describe.skipIf(!works)('the log on a disk that lies', () => {
  let rig: Rig
  beforeEach(async () => {
    rig = await Rig.make()
  })
  afterEach(() => rig.remove())

  test.each([
    ['changed on its way to the disk', 'pwrite64:poke_enter=@arg2=ffff:when=4'],
    ['never written although the disk said so', 'pwrite64:retval=420:when=4'],
  ])('serves what is around a record that was %s', async (_, fault) => {
    const server = await rig.startWith([fault])
    const answers = await rig.send(server, 5, { events: 1 })
    expect(answers.filter(({ status }) => status === 202).length).toBeGreaterThan(2)
    await stopped(server)
    const again = await rig.start()
    // It was acknowledged: what is lost is the disk's, and nothing else is.
    rig.account.acknowledged.delete(answers[2]!.id)
    await rig.expectAllBySql(again)
    await stopped(again)
  })
})

describe('the log', () => {
  let rig: Rig
  beforeAll(async () => {
    rig = await Rig.make()
  })
  afterAll(() => rig.remove())

  test.each([
    ['zeros', (path: string) => appendFileSync(path, Buffer.alloc(64 * 1024))],
    ['garbage', (path: string) => appendFileSync(path, garbage(10_000))],
    ['half a line', (path: string) => appendFileSync(path, lastLine(path).subarray(0, -9))],
  ])('ends where its last record ends, though %s follows', async (_, spoil) => {
    spoil(rig.log)
    const server = await rig.start()
    await rig.expectAllBySql(server)
    expect((await rig.send(server, 2)).map(({ status }) => status)).toEqual([202, 202])
    await rig.expectAllBySql(server)
    expect(await stopped(server)).toBe(0)
  })

  test('keeps every whole record when its last one is cut anywhere', async () => {
    const whole = lastLine(rig.log)
    const [id] = /p1-\d+/.exec(whole.toString())!
    rig.account.acknowledged.delete(id)
    const size = readFileSync(rig.log).length
    for (const bytes of [1, Math.floor(whole.length / 2)]) {
      truncateSync(rig.log, size - bytes)
      const server = await rig.start()
      await rig.expectAllBySql(server)
      expect(await stopped(server)).toBe(0)
      appendFileSync(rig.log, whole)
    }
    await rig.expectEverything()
  })
})

describe('a flipped bit', () => {
  let flips: BitFlips
  beforeAll(async () => {
    flips = new BitFlips(mkdtempSync(join(tmpdir(), 'millrace-flips-')))
    await flips.prepare()
  })
  afterAll(() => flips.close())

  const outcomesOf = async (flip: () => Promise<{ outcome: FlipOutcome; place: string }>) => {
    const counts: Partial<Record<FlipOutcome, number>> = {}
    const bad: string[] = []
    for (let at = 0; at < FLIPS; at++) {
      const { outcome, place } = await flip()
      counts[outcome] = (counts[outcome] ?? 0) + 1
      if (outcome === 'wrong' || outcome === 'died') bad.push(`${outcome}: ${place}`)
    }
    return { counts, bad }
  }

  test('in the log is never served, and no record is left out in silence', async () => {
    const { counts, bad } = await outcomesOf(() => flips.flipLog(seededBy(11)))
    expect(bad).toEqual([])
    expect(counts.detected).toBeGreaterThan(FLIPS / 2)
  })

  test('in the lake kills no reader', async () => {
    const { counts, bad } = await outcomesOf(() => flips.flipLake(seededBy(12)))
    // Neither Parquet's pages nor Avro carry a check: docs/durability.md says what that means.
    expect(bad.filter((place) => place.startsWith('died'))).toEqual([])
    expect(counts.detected).toBeGreaterThan(0)
  })

  const seeds = new Map<number, () => number>()
  const seededBy = (seed: number) => {
    const random = seeds.get(seed) ?? seeded(seed)
    seeds.set(seed, random)
    return random
  }
})

function garbage(length: number): Buffer {
  const random = seeded(7)
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)))
}

function lastLine(path: string): Buffer {
  const bytes = readFileSync(path)
  return bytes.subarray(bytes.lastIndexOf(10, bytes.length - 2) + 1)
}

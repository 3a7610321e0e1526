import { describe, expect, test } from 'vitest'
import { type Attempt, PoisonHunt } from './poison-hunt.ts'

interface Fake {
  readonly bytes: number
  /** Events that fail alone. */
  readonly bad: ReadonlySet<number>
  readonly eventCount: number
}

const record = (eventCount: number, bad: readonly number[] = []): Fake => {
  return { bytes: 100 + 10 * eventCount, bad: new Set(bad), eventCount }
}

/** Carries out what the hunt asks, over records with bad events, until it is over. */
function hunted(
  records: readonly Fake[],
  fails = (kept: readonly number[], { bad }: Fake, _: Attempt) => kept.some((at) => bad.has(at)),
) {
  let standing = 0
  const planOf = (bytesMax: number) => {
    let end = standing
    let bytes = 0
    while (end < records.length && (end === standing || bytes + records[end]!.bytes <= bytesMax)) {
      bytes += records[end++]!.bytes
    }
    return {
      bytes,
      recordCount: end - standing,
      eventCount: records.slice(standing, end).reduce((sum, each) => sum + each.eventCount, 0),
      nextOffset: end,
      pieces: [{ firstOffset: standing }] as never,
    }
  }
  const leftOut: string[] = []
  const keptOf = (at: number, { leaveOut }: Attempt) => {
    const all = [...Array(records[at]!.eventCount).keys()]
    if (leaveOut?.offset !== at) return all
    if (leaveOut.how !== 'events') return []
    return all.filter((place) => !leaveOut.ranges.some(([from, to]) => place >= from && place < to))
  }
  const hunt = new PoisonHunt(planOf(Number.POSITIVE_INFINITY), 'first')
  let jobs = 0
  for (; jobs < 2_000; jobs++) {
    const attempt = hunt.next()
    const plan = planOf(attempt.bytesMax)
    const offsets = [...Array(plan.recordCount).keys()].map((at) => standing + at)
    const isBad = (at: number) => fails(keptOf(at, attempt), records[at]!, attempt)
    if (attempt.trial === 'control' ? fails([], records[0]!, attempt) : offsets.some(isBad)) {
      if (!hunt.failed(plan, 'why')) return { jobs: jobs + 1, leftOut, standing, gaveUp: true }
      continue
    }
    if (attempt.trial === undefined) {
      for (const at of offsets) {
        const kept = new Set(keptOf(at, attempt))
        for (let place = 0; place < records[at]!.eventCount; place++) {
          if (!kept.has(place)) leftOut.push(`${at}/${place}`)
        }
      }
      standing = plan.nextOffset
    }
    if (hunt.succeeded(plan)) return { jobs: jobs + 1, leftOut, standing, gaveUp: false }
  }
  throw new Error('the hunt does not end')
}

describe('a hunt', () => {
  test('over a range with one bad event gives up that event alone, in two logarithms of jobs', () => {
    for (const [at, place] of [
      [0, 0],
      [511, 99],
      [1023, 50],
    ] as const) {
      const records = Array.from({ length: 1024 }, (_, each) =>
        record(100, each === at ? [place] : []),
      )
      const { jobs, leftOut, standing } = hunted(records)
      expect(leftOut).toEqual([`${at}/${place}`])
      expect(standing).toBeGreaterThan(at)
      expect(jobs).toBeLessThanOrEqual(10 + 2 * 7 + 5)
    }
  })

  test('over a single record finds every bad event in it', () => {
    expect(hunted([record(500, [3, 4, 250, 499])]).leftOut).toEqual([
      '0/3',
      '0/4',
      '0/250',
      '0/499',
    ])
    expect(hunted([record(1, [0])]).leftOut).toEqual(['0/0'])
  })

  test('ends with nothing given up when what failed fails no more', () => {
    expect(hunted([record(10)])).toMatchObject({ leftOut: [], gaveUp: false })
    expect(hunted(Array.from({ length: 9 }, () => record(10)))).toMatchObject({ leftOut: [] })
  })

  test('gives up nothing while the engine cannot do a good record either', () => {
    const { leftOut, standing, gaveUp } = hunted([record(10), record(10)], () => true)
    expect({ leftOut, standing, gaveUp }).toEqual({ leftOut: [], standing: 0, gaveUp: true })
    // One that can write rejections and no events would lose them all to it.
    const noEvents = hunted(
      [record(10)],
      (kept, _, { trial }) => kept.length > 0 || trial === 'control',
    )
    expect(noEvents).toMatchObject({ leftOut: [], gaveUp: true })
  })

  test('of a record whose bad events are more than trials reach ends, with all the bad ones out', () => {
    const bad = Array.from({ length: 400 }, (_, at) => at * 2)
    const { jobs, leftOut } = hunted([record(800, bad)])
    expect(jobs).toBeLessThan(300)
    expect(leftOut).toEqual(expect.arrayContaining(bad.map((at) => `0/${at}`)))
  })

  test('gives up all events of a record that fails though each half of it is good', () => {
    const ways: (string | undefined)[] = []
    const { leftOut } = hunted([record(4)], (kept, _, { trial, leaveOut }) => {
      if (trial === undefined) ways.push(leaveOut?.how)
      return kept.length > 2
    })
    expect([leftOut.length, ways]).toEqual([4, ['events']])
  })

  test('gives up the whole record, at last without its text, where its events are not what fails', () => {
    const ways: (string | undefined)[] = []
    const { leftOut } = hunted([record(2)], (_, __, { trial, leaveOut }) => {
      if (trial === 'control') return false
      if (trial === undefined) ways.push(leaveOut?.how)
      return leaveOut?.how !== 'bare'
    })
    expect(ways).toEqual(['events', 'record', 'bare'])
    expect(leftOut).toHaveLength(2)
  })

  test('of a record without events goes to the whole record at once', () => {
    const ways: (string | undefined)[] = []
    hunted([record(0)], (_, __, { trial, leaveOut }) => {
      if (trial !== 'control') ways.push(leaveOut?.how)
      return trial !== 'control' && leaveOut?.how !== 'record'
    })
    expect(ways).toEqual(['record'])
  })
})

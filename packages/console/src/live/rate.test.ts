import { expect, test } from 'vitest'
import { EMPTY_RATES, withReading } from './rate.ts'

test('a rate is the difference of two readings over the time between them', () => {
  const series = withReading(
    EMPTY_RATES,
    { atMs: 0, received: 100 },
    { atMs: 2_000, received: 150 },
    10,
  )
  expect(series).toEqual({ at: [2], perSecond: [25] })
})

test('a count that fell is no negative rate, and no time is no rate', () => {
  expect(
    withReading(EMPTY_RATES, { atMs: 0, received: 9 }, { atMs: 1_000, received: 0 }, 10).perSecond,
  ).toEqual([0])
  expect(withReading(EMPTY_RATES, { atMs: 5, received: 0 }, { atMs: 5, received: 9 }, 10)).toBe(
    EMPTY_RATES,
  )
})

test('the series holds no more than its points', () => {
  let series = EMPTY_RATES
  for (let at = 1; at <= 9; at++) {
    series = withReading(series, { atMs: at - 1, received: 0 }, { atMs: at, received: 0 }, 4)
  }
  expect(series.at).toHaveLength(4)
  expect(series.at.at(-1)).toBe(0.009)
})

/**
 * Events per second over the last minutes, from the ledger's running count. The live stream would not
 * do: it is sampled above 50 events a second.
 */

export interface RateSeries {
  /** Epoch seconds. */
  readonly at: readonly number[]
  readonly perSecond: readonly number[]
}

export const EMPTY_RATES: RateSeries = { at: [], perSecond: [] }

export interface Reading {
  readonly atMs: number
  readonly received: number
}

/** Adds the rate between two readings; a count that fell (another ledger) starts again at zero. */
export function withReading(
  series: RateSeries,
  last: Reading,
  next: Reading,
  pointsMax: number,
): RateSeries {
  const seconds = (next.atMs - last.atMs) / 1_000
  if (seconds <= 0) return series
  const rate = Math.max(0, next.received - last.received) / seconds
  return {
    at: [...series.at, next.atMs / 1_000].slice(-pointsMax),
    perSecond: [...series.perSecond, rate].slice(-pointsMax),
  }
}

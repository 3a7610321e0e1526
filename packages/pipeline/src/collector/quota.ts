/**
 * Quotas: how many requests and bytes a second a write key, a tenant and the whole process may send.
 *
 * Each is a token bucket that holds BURST_MS of its rate, kept as one number (the generic cell rate
 * algorithm, ITU-T I.371): the time at which the bucket will be full again. A request is let in by all
 * buckets that concern it or charged to none. Nothing here reads a clock: `nowMs` is monotone time.
 *
 * Bounds: 16 bytes a write key and 16 a tenant, in tables indexed by the numbers that the tenant store
 * gives out; what a request says never makes an entry. Every call is O(1).
 */

export interface Rates {
  /** 0: unlimited. */
  readonly requestsPerSecond: number
  /** 0: unlimited. */
  readonly bytesPerSecond: number
}

export type QuotaLevel = 'key' | 'tenant' | 'server'
export type QuotaUnit = 'requests' | 'bytes'
export type QuotaRates = Readonly<Record<QuotaLevel, Rates>>

/** Whose requests: a server credential has no write key, and only its tenant's quota. */
export interface Spender {
  readonly sourceNo: number | undefined
  readonly tenantNo: number
}

export interface Exceeded {
  readonly level: QuotaLevel
  readonly unit: QuotaUnit
  readonly perSecond: number
  /** What the bucket still holds, in its unit. */
  readonly remaining: number
  /** Until the same request would be let in, if no other came. */
  readonly waitMs: number
}

/**
 * A page that opens sends its first batches at once, and trackers that were told to wait come in the
 * same second: two seconds of the rate take both without a refusal.
 */
export const BURST_MS = 2_000
const LENGTH_FIRST = 64

/** The buckets of one level and unit. */
class Buckets {
  readonly perSecond: number
  readonly #eachMs: number
  #fullAtMs = new Float64Array(LENGTH_FIRST)

  constructor(perSecond: number) {
    this.perSecond = perSecond
    this.#eachMs = 1_000 / perSecond
  }

  /** 0 when `count` is there. What is larger than a bucket is let in by a full one. */
  waitMs(at: number, count: number, nowMs: number): number {
    const costMs = Math.min(count * this.#eachMs, BURST_MS)
    return Math.max(0, this.#spentMs(at, nowMs) + costMs - BURST_MS)
  }

  remaining(at: number, nowMs: number): number {
    return Math.max(0, Math.floor((BURST_MS - this.#spentMs(at, nowMs)) / this.#eachMs))
  }

  /** May go below empty; then nothing is let in until the debt is paid. */
  take(at: number, count: number, nowMs: number): void {
    if (at >= this.#fullAtMs.length) this.#grow(at)
    this.#fullAtMs[at] = nowMs + this.#spentMs(at, nowMs) + count * this.#eachMs
  }

  #spentMs(at: number, nowMs: number): number {
    return Math.max(0, (this.#fullAtMs[at] ?? 0) - nowMs)
  }

  #grow(at: number): void {
    const grown = new Float64Array(2 ** Math.ceil(Math.log2(at + 1)))
    grown.set(this.#fullAtMs)
    this.#fullAtMs = grown
  }
}

interface Limit {
  readonly level: QuotaLevel
  readonly unit: QuotaUnit
  readonly buckets: Buckets
}

export class Quota {
  /** Only those that limit anything, from the narrowest to the widest. */
  readonly #limits: readonly Limit[]

  constructor(rates: QuotaRates) {
    this.#limits = (['key', 'tenant', 'server'] as const).flatMap((level) =>
      [
        { level, unit: 'requests' as const, perSecond: rates[level].requestsPerSecond },
        { level, unit: 'bytes' as const, perSecond: rates[level].bytesPerSecond },
      ]
        .filter(({ perSecond }) => perSecond > 0)
        .map(({ unit, perSecond }) => ({ level, unit, buckets: new Buckets(perSecond) })),
    )
  }

  /** Charges one request of `bytes`, or says which bucket has too little and charges nothing. */
  take(spender: Spender, bytes: number, nowMs: number): Exceeded | undefined {
    for (const limit of this.#limits) {
      const at = placeOf(limit.level, spender)
      if (at === undefined) continue
      const { level, unit, buckets } = limit
      const waitMs = buckets.waitMs(at, unit === 'bytes' ? bytes : 1, nowMs)
      if (waitMs === 0) continue
      const remaining = buckets.remaining(at, nowMs)
      return { level, unit, perSecond: buckets.perSecond, remaining, waitMs }
    }
    for (const { level, unit, buckets } of this.#limits) {
      const at = placeOf(level, spender)
      if (at !== undefined) buckets.take(at, unit === 'bytes' ? bytes : 1, nowMs)
    }
    return undefined
  }

  /** Bytes that were found only after the request was let in: unpacked, or sent without a length. */
  charge(spender: Spender, bytes: number, nowMs: number): void {
    for (const { level, unit, buckets } of this.#limits) {
      const at = unit === 'bytes' ? placeOf(level, spender) : undefined
      if (at !== undefined) buckets.take(at, bytes, nowMs)
    }
  }
}

function placeOf(level: QuotaLevel, { sourceNo, tenantNo }: Spender): number | undefined {
  if (level === 'key') return sourceNo
  return level === 'tenant' ? tenantNo : 0
}

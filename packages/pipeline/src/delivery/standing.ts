/**
 * How far delivery is behind, in two numbers.
 *
 * _Lag_ is the age of the oldest record that is not in the lake: hours are right for a quiet tenant,
 * whose records wait for a file that is worth writing. _Overdue_ is how long the flush policy has
 * wanted a job and none went well: that is never right for long.
 */
export interface DeliveryStanding {
  readonly pendingBytes: number
  readonly counts: DeliveryCounts
  /** The tenants with the longest lag, longest first; at most `LAGGARDS_MAX`. */
  readonly laggards: readonly Laggard[]
  /** The tenant that is overdue for longest, if one is. */
  readonly mostOverdue: Laggard | undefined
}

/** Since the start of the process. */
export interface DeliveryCounts {
  /** Jobs. */
  readonly failures: number
  /** Events. */
  readonly delivered: number
  readonly undeliverable: number
  readonly suppressed: number
}

export interface Laggard {
  readonly tenantNo: number
  /** 0 while it is not known where the lake stands. */
  readonly lagMs: number
  readonly overdueMs: number
  /** What the last failure said, when no job went well since. */
  readonly error: string | undefined
}

/** Metrics name as many tenants: each is a time series for whoever collects them. */
export const LAGGARDS_MAX = 20

/** Of all tenants for whom something waits. */
export function standingOf(
  waiting: readonly (Laggard & { readonly bytes: number })[],
  counts: DeliveryCounts,
): DeliveryStanding {
  let pendingBytes = 0
  let mostOverdue: Laggard | undefined
  for (const each of waiting) {
    pendingBytes += each.bytes
    if (each.overdueMs > (mostOverdue?.overdueMs ?? 0)) mostOverdue = each
  }
  const laggards = [...waiting].sort((left, right) => right.lagMs - left.lagMs)
  return { pendingBytes, counts, laggards: laggards.slice(0, LAGGARDS_MAX), mostOverdue }
}

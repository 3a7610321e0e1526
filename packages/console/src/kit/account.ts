/**
 * The arithmetic of the account: sent = acknowledged + rejected + lost, acknowledged = in SQL.
 *
 * Every event of the tracker carries its place on its page (`seq`, from 0 without gaps), so the rows
 * themselves tell how many were sent: the sum over all pages of the highest number plus one. Events
 * without numbers count once each. A refused event's number is a gap too, but not a loss.
 */

export interface Counts {
  /** Sum over pages of max(seq) + 1. */
  readonly numbered: number
  /** Rows without a page or a number. */
  readonly unnumbered: number
  /** All rows. */
  readonly inSql: number
  /** Refused events that carried a number. */
  readonly rejectedNumbered: number
}

export interface Account {
  readonly sent: number
  readonly lost: number
  /** In SQL minus acknowledged: 0 is the promise. */
  readonly difference: number
}

/**
 * `acceptedBefore` and `acceptedAfter` are the ledger read before and after the query: while events
 * arrive, any count between the two is right.
 */
export function accountOf(counts: Counts, acceptedBefore: number, acceptedAfter: number): Account {
  const sent = counts.numbered + counts.unnumbered
  const low = Math.min(acceptedBefore, acceptedAfter)
  const high = Math.max(acceptedBefore, acceptedAfter)
  const within = Math.min(Math.max(counts.inSql, low), high)
  return {
    sent,
    lost: Math.max(0, sent - counts.inSql - counts.rejectedNumbered),
    difference: counts.inSql - within,
  }
}

export type Verdict = 'ok' | 'settling' | 'bad'

/** A gap this young may still be on its way: a retry waits up to some seconds for its turn. */
const SETTLE_MS = 10_000

/** Remembers since when an amount is not zero, and calls it bad only once it has had time to settle. */
export function createVerdict(settleMs = SETTLE_MS): (amount: number, nowMs: number) => Verdict {
  let sinceMs: number | undefined
  return (amount, nowMs) => {
    if (amount === 0) {
      sinceMs = undefined
      return 'ok'
    }
    sinceMs ??= nowMs
    return nowMs - sinceMs < settleMs ? 'settling' : 'bad'
  }
}

/**
 * The arithmetic of the account: sent = acknowledged + rejected + lost, acknowledged = in SQL, but for
 * those that no row could be made of and those that were there already.
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
  /** In SQL minus what should be: 0 is the promise. */
  readonly difference: number
}

/** The ledger's columns of acknowledged events. */
export interface Acknowledged {
  readonly accepted: number
  readonly delivered: number
  readonly pending: number
  readonly undeliverable: number
  readonly suppressed: number
}

/** Acknowledged events that are rows of SQL, in the lake or on their way to it. */
export const rowsOf = ({ accepted, undeliverable, suppressed }: Acknowledged): number =>
  accepted - undeliverable - suppressed

/** Acknowledged events that are in no column of the ledger, or, below 0, in more than one. */
export const unaccounted = (ledger: Acknowledged): number =>
  rowsOf(ledger) - ledger.delivered - ledger.pending

/**
 * `rowsBefore` and `rowsAfter` are of the ledger read before and after the query: while events arrive,
 * any count between the two is right.
 */
export function accountOf(counts: Counts, rowsBefore: number, rowsAfter: number): Account {
  const sent = counts.numbered + counts.unnumbered
  const low = Math.min(rowsBefore, rowsAfter)
  const high = Math.max(rowsBefore, rowsAfter)
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

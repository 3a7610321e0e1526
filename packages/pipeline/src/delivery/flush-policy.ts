/**
 * When what waits for a tenant is worth a commit: often enough to keep the log's tail short, seldom
 * enough that files are not small. Queries see the tail anyway, so age decides nothing about freshness
 * here, only how much a query reads from the log and when other engines see it.
 */
import type { Pending } from '../log/event-log.ts'

/** One commit's lines. Also the most that one delivery job holds in memory. */
export const FLUSH_BYTES = 64 * 1_048_576

/** Above a rate, what waits goes at this age; the first that applies. Else at `QUIET_AGE_MS`. */
const BUSY = { bytesPerMinute: 1_048_576, ageMs: 60_000 }
const STEADY = { eventsPerSecond: 1, ageMs: 15 * 60_000 }
const QUIET_AGE_MS = 6 * 3_600_000

/**
 * True when a tenant's pending records are to be delivered now. The rate is that of the pending
 * records themselves, over the time that they took to come: no state to keep, and none to lose.
 */
export function isFlushDue(
  pending: Pending,
  nowMs: number,
  flushBytes: number = FLUSH_BYTES,
): boolean {
  if (pending.oldestReceivedMs === null) return false
  if (pending.bytes >= flushBytes) return true
  const ageMs = nowMs - pending.oldestReceivedMs
  if (ageMs >= QUIET_AGE_MS) return true
  if (ageMs >= STEADY.ageMs && pending.eventCount / ageMs >= STEADY.eventsPerSecond / 1000) {
    return true
  }
  return ageMs >= BUSY.ageMs && pending.bytes / ageMs >= BUSY.bytesPerMinute / 60_000
}

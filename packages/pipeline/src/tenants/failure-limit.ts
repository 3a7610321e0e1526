/**
 * Slows down whoever sends wrong secrets: ten failures a minute per client id, then 429.
 *
 * Only failures are slowed. A right secret is always taken, or anyone who knows a client id (it is no
 * secret) could lock its owner out; 256 random bits need no protection from guessing, the log and the
 * processor do.
 */
import type { Clock } from '../kit/clock.ts'

export const FAILURES_MAX = 10
export const FAILURE_WINDOW_MS = 60_000
/** Client ids remembered; ids are the sender's to invent, so the oldest goes first. */
export const FAILING_CLIENTS_MAX = 10_000

export interface FailureLimit {
  /** Counts one failure; seconds to wait when it was one too many, else undefined. */
  fail(clientId: string): number | undefined
}

export function createFailureLimit(clock: Clock): FailureLimit {
  const windows = new Map<string, { failureCount: number; readonly endsMs: number }>()
  return {
    fail(clientId) {
      const nowMs = clock.now()
      // What strangers send as an id may be long; ours have 19 characters.
      const key = clientId.slice(0, 64)
      let window = windows.get(key)
      if (window === undefined || window.endsMs <= nowMs) {
        windows.delete(key)
        window = { failureCount: 0, endsMs: nowMs + FAILURE_WINDOW_MS }
        windows.set(key, window)
        if (windows.size > FAILING_CLIENTS_MAX) windows.delete(windows.keys().next().value ?? '')
      }
      window.failureCount += 1
      if (window.failureCount <= FAILURES_MAX) return undefined
      return Math.max(1, Math.ceil((window.endsMs - nowMs) / 1_000))
    },
  }
}

/**
 * What an answer means and how long to wait, as pure functions.
 *
 * An answer is one of three: acknowledged, refused for good (sending it again cannot help), or
 * unknown (send the same batch again; the server keeps it once).
 */
import { RETRY_AFTER_MAX_MS, RETRY_MAX_MS, RETRY_MIN_MS } from './limits.ts'

export type Verdict = 'acknowledged' | 'refused' | 'again'

/** Status 0: no answer at all. 408 and 425 say "again" by their definition (RFC 9110, RFC 8470). */
export function verdictOf(status: number): Verdict {
  if (status >= 200 && status < 300) return 'acknowledged'
  if (status === 408 || status === 425 || status === 429) return 'again'
  return status >= 400 && status < 500 ? 'refused' : 'again'
}

/** Retry-After as seconds or as a date (RFC 9110, section 10.2.3), in ms from now. */
export function retryAfterMs(header: string | null, nowMs: number): number | undefined {
  if (!header) return undefined
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs
  return ms >= 0 ? Math.min(ms, RETRY_AFTER_MAX_MS) : undefined
}

/**
 * Pause after the n-th failure in a row (from 1): between 1 s and a ceiling that doubles up to 60 s,
 * evenly spread, so that visitors who failed together do not come back together. What the server
 * asks for is kept, with up to a second on top for the same reason.
 */
export function retryDelayMs(failures: number, askedMs: number | undefined, random: number) {
  if (askedMs !== undefined) return askedMs + random * RETRY_MIN_MS
  const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** failures)
  return RETRY_MIN_MS + random * (ceiling - RETRY_MIN_MS)
}

/**
 * - `visible`: one request at a time, pauses are kept.
 * - `hidden`: several at a time, pauses are kept: what is tracked now may be the page's last word.
 * - `leaving`: everything, now: there may be no later.
 */
export type Urgency = 'visible' | 'hidden' | 'leaving'

export interface SendState {
  readonly urgency: Urgency
  readonly dueEvents: number
  readonly requestsInFlight: number
  readonly requestsHiddenMax: number
  readonly nowMs: number
  readonly notBeforeMs: number
}

export function maySend(state: SendState): boolean {
  if (state.urgency === 'leaving') return true
  if (state.nowMs < state.notBeforeMs) return false
  if (state.urgency === 'hidden') return state.requestsInFlight < state.requestsHiddenMax
  return state.dueEvents > 0 && state.requestsInFlight === 0
}

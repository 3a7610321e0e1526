/**
 * Answers of the framework's routes: JSON, and `application/problem+json` (RFC 9457) with the headers
 * that a status asks for.
 *
 * Everything here belongs to one caller, so no cache may keep it. The hot route writes its own answers
 * (collector/answer.ts), because a page on another site must be able to read them.
 */
import type { Problem } from '@millrace/protocol'

/** RFC 6750 §3. */
const BEARER_CHALLENGE = 'Bearer realm="millrace"'
/** The pause of a 429 or 503 whose wait is not known better. */
const RETRY_AFTER_MS = 2_000
/** Pauses differ by up to this less one, so that those refused together do not come back together. */
const RETRY_SPREAD_SECONDS = 4
let retryTurn = 0

/**
 * `Retry-After`: the wait in whole seconds, and some more. The pauses are dealt in turn, which spreads
 * any number of senders evenly where dice would only do so on average.
 */
export function retryAfterSeconds(waitMs = RETRY_AFTER_MS): number {
  retryTurn = (retryTurn + 1) % RETRY_SPREAD_SECONDS
  return Math.max(1, Math.ceil(waitMs / 1_000)) + retryTurn
}

type Headers = Readonly<Record<string, string>>

/** Answers hold people's data: no cache keeps them, no browser guesses their type. */
export const PRIVATE = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' } as const

export function problemResponse(facts: Problem, headers: Headers = {}): Response {
  const { status } = facts
  return answer(facts, status, 'application/problem+json', {
    ...(status === 401 ? { 'WWW-Authenticate': BEARER_CHALLENGE } : {}),
    ...(status === 429 || status === 503 ? { 'Retry-After': String(retryAfterSeconds()) } : {}),
    ...headers,
  })
}

export function jsonResponse(body: unknown, status = 200, headers: Headers = {}): Response {
  return answer(body, status, 'application/json', headers)
}

function answer(body: unknown, status: number, type: string, headers: Headers): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { ...PRIVATE, 'Content-Type': type, ...headers },
  })
}

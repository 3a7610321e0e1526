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
/** Sent with every 429 and 503 whose wait is not known better; trackers add their own jitter. */
export const RETRY_AFTER_SECONDS = '2'

type Headers = Readonly<Record<string, string>>

/** Answers hold people's data: no cache keeps them, no browser guesses their type. */
export const PRIVATE = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' } as const

export function problemResponse(facts: Problem, headers: Headers = {}): Response {
  const { status } = facts
  return answer(facts, status, 'application/problem+json', {
    ...(status === 401 ? { 'WWW-Authenticate': BEARER_CHALLENGE } : {}),
    ...(status === 429 || status === 503 ? { 'Retry-After': RETRY_AFTER_SECONDS } : {}),
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

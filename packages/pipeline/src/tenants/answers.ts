/**
 * Error answers as HTTP: `application/problem+json` (RFC 9457) with the headers a status asks for.
 *
 * A 401 always says the same: which of the checks failed would help nobody but a forger.
 */
import { type Problem, problem } from '@millrace/protocol'

/** RFC 6750 §3. */
export const BEARER_CHALLENGE = 'Bearer realm="millrace"'

export const UNAUTHORIZED: Problem = problem('unauthorized', 'no valid credential was sent')
/** For what is not there and for what is another tenant's: nobody can tell which. */
export const notFound = (what: string): Problem => problem('not_found', `there is no such ${what}`)

export function problemResponse(
  facts: Problem,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(JSON.stringify(facts), {
    status: facts.status,
    headers: {
      'Content-Type': 'application/problem+json',
      'Cache-Control': 'no-store',
      ...(facts.status === 401 ? { 'WWW-Authenticate': BEARER_CHALLENGE } : {}),
      ...headers,
    },
  })
}

/** JSON that no cache may keep: everything here belongs to one caller. */
export function jsonResponse(
  body: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers },
  })
}

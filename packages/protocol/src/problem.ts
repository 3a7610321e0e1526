/**
 * What can go wrong at the door, as data: one table from code to status, title and hint.
 *
 * A `Problem` is the body of every error answer (RFC 9457, `application/problem+json`). Clients
 * branch on `code`, people read `detail` (with the values in it) and `hint` (what to do).
 * `RejectionCode`s name why a single event was refused; its neighbours are kept, the answer is 202.
 */

export interface Problem {
  /** `https://millrace.dev/problems/<code>`: an identifier, not a promise of a page. */
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: ProblemCode
  readonly detail: string
  readonly hint: string
  /** JSON pointer (RFC 6901) into the request body, where one member is to blame. */
  readonly pointer?: string
}

interface ProblemFacts {
  readonly status: number
  readonly title: string
  readonly hint: string
}

export const PROBLEMS = {
  malformed_json: {
    status: 400,
    title: 'The body is not JSON',
    hint: 'Send one event, an array of events, or an envelope with an "events" array; see /openapi.json.',
  },
  invalid_utf8: { status: 400, title: 'The body is not UTF-8', hint: 'Encode the body as UTF-8.' },
  invalid_gzip: {
    status: 400,
    title: 'The body is not gzip',
    hint: 'Send one whole gzip member, or no Content-Encoding.',
  },
  invalid_envelope: {
    status: 400,
    title: 'The envelope is not valid',
    hint: 'Correct the member that pointer names; nothing of this batch was taken.',
  },
  invalid_request: {
    status: 400,
    title: 'The request is not valid',
    hint: 'Correct the member that pointer or detail names.',
  },
  invalid_sql: {
    status: 400,
    title: 'The SQL cannot be run',
    hint: 'Correct the statement; detail is what the engine said.',
  },
  sql_refused: {
    status: 400,
    title: 'This SQL is not allowed',
    hint: 'One SELECT over your own tables: events, identities, rejections, people.',
  },
  unauthorized: {
    status: 401,
    title: 'No valid credential',
    hint: 'Send ?key=, X-Write-Key or a Bearer token from /oauth/token.',
  },
  forbidden_origin: {
    status: 403,
    title: 'This origin may not send for this source',
    hint: 'Add the origin to the source: millrace source allow <source> <origin>.',
  },
  forbidden: {
    status: 403,
    title: 'The credential lacks the scope',
    hint: 'Ask for a client with this scope.',
  },
  not_found: { status: 404, title: 'Nothing here', hint: 'See /openapi.json for the routes.' },
  method_not_allowed: {
    status: 405,
    title: 'The method is not allowed here',
    hint: 'See the Allow header.',
  },
  not_acceptable: {
    status: 406,
    title: 'No such format',
    hint: 'Accept application/json or text/csv.',
  },
  conflict: { status: 409, title: 'It exists already', hint: 'Choose another name.' },
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    hint: 'Send at most 1 MiB after decompression; lower the batch size.',
  },
  too_many_events: {
    status: 413,
    title: 'Too many events in one batch',
    hint: 'Send at most 500 events as objects, or 5000 packed, in a batch.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The content type is not taken',
    hint: 'Send application/json or text/plain, Content-Encoding gzip or none.',
  },
  query_failed: {
    status: 422,
    title: 'The query was stopped',
    hint: 'Narrow it: fewer days, a LIMIT, no cross join.',
  },
  query_timeout: {
    status: 422,
    title: 'The query took too long',
    hint: 'Narrow it, or raise timeoutMs (at most 60000).',
  },
  too_many_requests: { status: 429, title: 'Too many requests', hint: 'Wait as Retry-After says.' },
  internal: {
    status: 500,
    title: 'A fault of the server',
    hint: 'It is in the server log; tell the operator.',
  },
  unavailable: {
    status: 503,
    title: 'Not now',
    hint: 'Send the same batch with the same batchId again, after Retry-After.',
  },
  disk_full: {
    status: 503,
    title: 'The disk is full',
    hint: 'Free space; sending the same batch again is safe.',
  },
} as const satisfies Record<string, ProblemFacts>

export type ProblemCode = keyof typeof PROBLEMS

/** Builds the body of an error answer from the table and the values of this case. */
export function problem(
  code: ProblemCode,
  detail: string,
  more: { hint?: string; pointer?: string } = {},
): Problem {
  const facts = PROBLEMS[code]
  return {
    type: `https://millrace.dev/problems/${code}`,
    title: facts.title,
    status: facts.status,
    code,
    detail,
    hint: more.hint ?? facts.hint,
    ...(more.pointer === undefined ? {} : { pointer: more.pointer }),
  }
}

/** Why one event was refused. The text is the general sentence; `detail` adds the values. */
export const REJECTIONS = {
  not_an_object: 'an event is a JSON object',
  missing_field: 'eventType, timestamp and path are required',
  unknown_field: 'members of your own belong into data',
  wrong_type: 'the member has another type than the schema says',
  empty: 'the member must not be empty',
  too_long: 'the member is longer than its limit',
  control_character: 'names and ids hold no control characters',
  bad_timestamp:
    'RFC 3339 with a zone, the form 2019-11-15 18:05:00Z, or epoch milliseconds, of a day that exists',
  number_out_of_range: 'the number is not finite or outside its range',
  lone_surrogate: 'the text holds half a surrogate pair',
  duplicate_key: 'the member is given twice',
  forbidden_key: 'the key __proto__ is not taken',
  too_deep: 'at most 16 levels of nesting',
  too_many_keys: 'at most 200 members in an object',
  event_too_large: 'at most 64 KiB for one event',
  consent_refused: 'the visitor refused the purpose "measure"',
} as const

export type RejectionCode = keyof typeof REJECTIONS

/** One refused event of a batch. `index` is its place in the batch as sent. */
export interface Rejection {
  readonly index: number
  readonly code: RejectionCode
  readonly detail: string
  /** JSON pointer inside the event; empty for the event itself. */
  readonly pointer: string
}

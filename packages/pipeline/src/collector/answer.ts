/**
 * An outcome of the door as an HTTP answer: status, headers, text. Every way in uses it, so that they
 * cannot come to say different things.
 */
import type { Acknowledgement, Problem } from '@millrace/protocol'
import { retryAfterSeconds } from '../kit/responses.ts'
import { rateLimitFields, type Throttled } from './quota-answer.ts'

export interface Answer {
  readonly status: number
  /** Name, value, name, value … */
  readonly headers: readonly string[]
  readonly text: string
}

/** `origin`: the request's header, if it has one. */
export function answerTo(
  outcome: Acknowledgement | Problem | Throttled,
  origin: string | undefined,
): Answer {
  const text = JSON.stringify(outcome)
  const failed = 'code' in outcome ? outcome : undefined
  const status = failed?.status ?? 202
  const headers = [
    'Content-Type',
    failed === undefined ? 'application/json' : 'application/problem+json',
    'Content-Length',
    String(Buffer.byteLength(text)),
  ]
  // A page of a foreign origin learns nothing, not even why.
  if (failed?.code !== 'forbidden_origin') headers.push(...corsHeaders(origin))
  if (status === 401) headers.push('WWW-Authenticate', 'Bearer')
  if (status === 405) headers.push('Allow', 'POST, OPTIONS')
  if ('limit' in outcome) {
    headers.push('Retry-After', String(outcome.retryAfterSeconds), ...rateLimitFields(outcome))
  } else if (status === 429 || status === 503) {
    headers.push('Retry-After', String(retryAfterSeconds()))
  }
  return { status, headers, text }
}

/** What a browser of another site is told before it posts: names and values, as above. */
export function preflightHeaders(origin: string | undefined): readonly string[] {
  return [...corsHeaders(origin), ...PREFLIGHT]
}

const PREFLIGHT = [
  'Access-Control-Allow-Methods',
  'POST',
  'Access-Control-Allow-Headers',
  'Authorization, Content-Encoding, Content-Type, Idempotency-Key, X-Write-Key',
  'Access-Control-Max-Age',
  '86400',
]

const NONE: readonly string[] = []

export function corsHeaders(origin: string | undefined): readonly string[] {
  if (origin === undefined) return NONE
  return [
    'Access-Control-Allow-Origin',
    origin,
    // A tracker on another site may read when to come again.
    'Access-Control-Expose-Headers',
    'Retry-After',
    'Vary',
    'Origin',
  ]
}

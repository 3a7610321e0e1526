/**
 * A refusal for want of quota, as a problem and as header fields.
 *
 * The body names the bucket (`limit`) and the pause (`retryAfterSeconds`) as well, since a page of
 * another origin reads no header that is not listed. The fields are those of
 * draft-ietf-httpapi-ratelimit-headers-11, on refusals only: an accepted batch is told nothing that
 * would cost each answer a hundred bytes.
 */
import { type Problem, problem } from '@millrace/protocol'
import { retryAfterSeconds } from '../kit/responses.ts'
import { BURST_MS, type Exceeded } from './quota.ts'

/** A problem that time mends. */
export interface Throttled extends Problem {
  readonly retryAfterSeconds: number
  readonly limit: Omit<Exceeded, 'waitMs'>
}

const OWNERS = { key: 'this write key', tenant: 'this tenant', server: 'this server' } as const

export function throttled(exceeded: Exceeded): Throttled {
  const { waitMs, ...limit } = exceeded
  const detail = `${OWNERS[limit.level]} may send ${limit.perSecond} ${limit.unit} a second`
  return {
    ...problem('too_many_requests', detail),
    retryAfterSeconds: retryAfterSeconds(waitMs),
    limit,
  }
}

/** Name, value, name, value. */
export function rateLimitFields({ limit, retryAfterSeconds }: Throttled): readonly string[] {
  const { level, unit, perSecond, remaining } = limit
  const name = `"${level}-${unit}"`
  const burstSeconds = BURST_MS / 1_000
  const of = unit === 'bytes' ? ';qu="content-bytes"' : ''
  return [
    'RateLimit-Policy',
    `${name};q=${perSecond * burstSeconds};w=${burstSeconds}${of}`,
    'RateLimit',
    `${name};r=${remaining};t=${retryAfterSeconds}`,
  ]
}

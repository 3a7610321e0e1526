/**
 * One body to one address, by the best means the browser has.
 *
 * `text/plain` and the key in the address keep the request free of a CORS preflight. `keepalive`
 * lets it outlive the page, within 64 KiB in flight for the whole page; beyond that a plain request
 * still has a chance, and a rejected one has none. Where `keepalive` is unknown, a beacon is sent
 * on leaving: its outcome is never told.
 */
import { retryAfterMs } from './flush-policy.ts'
import { KEEPALIVE_BYTES_MAX, REQUEST_TIMEOUT_MS } from './limits.ts'

export interface Answer {
  /** HTTP status, 0 without an answer. */
  readonly status: number
  readonly rejectedCount: number
  readonly retryAfterMs: number | undefined
}

export interface Transport {
  /** Never rejects. */
  post(body: string, bytes: number): Promise<Answer>
  /** For leaving without `keepalive`. False: not taken. */
  beacon(body: string): boolean
  readonly outlivesPage: boolean
  /** Bytes that may still go with `keepalive`. */
  room(): number
}

export function createTransport(url: string): Transport {
  const outlivesPage = typeof Request === 'function' && 'keepalive' in Request.prototype
  let inFlightBytes = 0

  return {
    outlivesPage,
    room: () => KEEPALIVE_BYTES_MAX - inFlightBytes,
    beacon: (body) => !!navigator.sendBeacon && navigator.sendBeacon(url, body),
    async post(body, bytes) {
      const keepalive = inFlightBytes + bytes <= KEEPALIVE_BYTES_MAX
      if (keepalive) inFlightBytes += bytes
      const abort = new AbortController()
      const timer = setTimeout(() => abort.abort(), REQUEST_TIMEOUT_MS)
      try {
        const response = await fetch(url, {
          method: 'POST',
          body,
          keepalive,
          credentials: 'omit',
          // The full address of the page, with its query, would travel in the header otherwise.
          referrerPolicy: 'origin',
          headers: { 'content-type': 'text/plain' },
          signal: abort.signal,
        })
        const answer = await response.json().catch(() => undefined)
        return {
          status: response.status,
          rejectedCount: Array.isArray(answer?.rejected) ? answer.rejected.length : 0,
          retryAfterMs: retryAfterMs(response.headers.get('retry-after'), Date.now()),
        }
      } catch {
        return { status: 0, rejectedCount: 0, retryAfterMs: undefined }
      } finally {
        clearTimeout(timer)
        if (keepalive) inFlightBytes -= bytes
      }
    },
  }
}

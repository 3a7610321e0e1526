/**
 * What arrives, as it arrives: the server's event stream into a list of the latest.
 *
 * The stream may carry 50 events a second; the list is handed on a few times a second, because drawing
 * a table for each would be all that the page does. Everything in an arrival is a stranger's text.
 */

export interface Arrival {
  readonly key: number
  readonly rejected: boolean
  readonly receivedMs: number
  readonly source: string
  readonly eventType: string
  readonly path: string
  readonly target: string
  /** Of a rejected one: why, and where in the event. */
  readonly code: string
  readonly detail: string
  readonly pointer: string
  readonly raw: string
}

export const ARRIVALS_MAX = 100
const HAND_ON_MS = 250
/** EventSource reconnects by itself after a lost connection, but gives up on a refused one. */
const REOPEN_MS = 3_000

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

/** Reads one message of the stream; undefined for what is none. */
export function parseArrival(json: string, rejected: boolean, key: number): Arrival | undefined {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const fields = value as Record<string, unknown>
  return {
    key,
    rejected,
    receivedMs: typeof fields.receivedMs === 'number' ? fields.receivedMs : Number.NaN,
    source: text(fields.source),
    eventType: text(fields.eventType),
    path: text(fields.path),
    target: text(fields.target),
    code: text(fields.code),
    detail: text(fields.detail),
    pointer: text(fields.pointer),
    raw: text(fields.raw),
  }
}

export interface ArrivalStream {
  close(): void
}

export function openArrivals(
  tenantId: string,
  on: { latest(arrivals: readonly Arrival[]): void; connected(yes: boolean): void },
): ArrivalStream {
  let latest: Arrival[] = []
  let fresh = false
  let key = 0
  let source: EventSource
  let reopen: ReturnType<typeof setTimeout> | undefined
  const take = (message: MessageEvent<string>, rejected: boolean): void => {
    const arrival = parseArrival(message.data, rejected, key++)
    if (arrival === undefined) return
    latest = [arrival, ...latest.slice(0, ARRIVALS_MAX - 1)]
    fresh = true
  }
  const open = (): void => {
    source = new EventSource(`/v1/live?tenant=${encodeURIComponent(tenantId)}`)
    source.onopen = () => on.connected(true)
    source.onmessage = (message) => take(message, false)
    source.addEventListener('rejected', (message) => take(message as MessageEvent<string>, true))
    source.onerror = () => {
      on.connected(false)
      if (source.readyState === EventSource.CLOSED) reopen = setTimeout(open, REOPEN_MS)
    }
  }
  open()
  const handOn = setInterval(() => {
    if (fresh) on.latest(latest)
    fresh = false
  }, HAND_ON_MS)
  return {
    close() {
      source.close()
      clearInterval(handOn)
      clearTimeout(reopen)
    },
  }
}

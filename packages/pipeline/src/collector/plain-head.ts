/**
 * The head of an ordinary batch, recognised: exactly `POST /v1/events` with one `Content-Length`.
 *
 * Not an HTTP parser. It says yes only to a shape that every parser reads alike, and knows nothing of
 * the rest: whatever it does not recognise is left, byte for byte, to `node:http` (fast-lane.ts). So
 * it is strict where a parser must be lenient, and what it may not know of (chunked bodies, `Expect`,
 * an upgrade, a name given twice) is not here at all.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { limits } from '@millrace/protocol'
import { headerText, INGEST_PATH, isTakenType, urlFacts } from './ingest-route.ts'

export interface PlainHead {
  readonly headers: IncomingHttpHeaders
  readonly writeKey: string | undefined
  readonly sourceName: string | undefined
  readonly idempotencyKey: string | undefined
}

/** A request's head but for the digits of its length: what a sender's requests have in common. */
export interface HeadFrame {
  readonly before: string
  readonly after: string
  readonly head: PlainHead
}

const REQUEST_LINE = /^POST (\/v1\/events(?:\?[A-Za-z0-9._~%&=+:-]*)?) HTTP\/1\.1\r\n/
/** A name, and a value of visible ASCII that neither begins nor ends with a blank. */
const LINE = /([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?((?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?)\r\n/y
const LENGTH = /^[1-9]\d{0,6}$/
/** Far more than a browser or a library sends. */
const HEADERS_MAX = 64

/** These change how the message is read or what must be answered; `node:http` knows how. */
const NOT_PLAIN = new Set([
  'connection',
  'content-encoding',
  'expect',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** `text`: the head with the line break of its last line, as latin1. */
export function readFrame(text: string): HeadFrame | undefined {
  const start = REQUEST_LINE.exec(text)
  if (start === null || !text.startsWith(INGEST_PATH, 'POST '.length)) return undefined
  const headers: Record<string, string> = Object.create(null)
  let count = 0
  let lengthEnd = 0
  for (let at = start[0].length; at < text.length; at = LINE.lastIndex) {
    LINE.lastIndex = at
    const line = LINE.exec(text)
    if (line === null || ++count > HEADERS_MAX) return undefined
    const name = line[1]!.toLowerCase()
    if (name in headers || !isPlain(name, line[2]!)) return undefined
    headers[name] = line[2]!
    if (name === 'content-length') lengthEnd = LINE.lastIndex - 2
  }
  if (lengthEnd === 0 || headers.host === undefined) return undefined
  if (!isTakenType(headers['content-type'])) return undefined
  const { key, source } = urlFacts(start[1]!)
  const digits = headers['content-length']!.length
  return {
    before: text.slice(0, lengthEnd - digits),
    after: text.slice(lengthEnd),
    head: {
      headers,
      writeKey: key ?? headerText(headers, 'x-write-key'),
      sourceName: source,
      idempotencyKey: headerText(headers, 'idempotency-key'),
    },
  }
}

function isPlain(name: string, value: string): boolean {
  if (name === 'connection') return value.toLowerCase() === 'keep-alive'
  return !NOT_PLAIN.has(name)
}

/** The body's length if `text` is this frame with another one; undefined if it is another head. */
export function lengthInFrame(frame: HeadFrame, text: string): number | undefined {
  const { before, after } = frame
  if (!text.startsWith(before) || !text.endsWith(after)) return undefined
  const digits = text.slice(before.length, text.length - after.length)
  if (!LENGTH.test(digits)) return undefined
  const length = Number(digits)
  return length <= limits.BODY_BYTES_MAX ? length : undefined
}

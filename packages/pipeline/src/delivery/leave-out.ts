/**
 * Takes events out of a record's line and puts them among its refused ones, stage `delivery`.
 *
 * The line is cut by byte range: what stays is the bytes that came, for a number that went through
 * JavaScript may come out another. Only one record at a time is treated so, when delivery has found
 * that it cannot make rows of it.
 */
import type { LeftOut } from './delivery-job.ts'

/** Of an event's text; as much as the door keeps of one that it refuses. */
const RAW_LENGTH_MAX = 4_096
const DETAIL_LENGTH_MAX = 500
/** `event_index` of a row that stands for a whole record, and of one that stands for damaged ones. */
export const WHOLE_RECORD = -1
export const DAMAGED_RECORDS = -2

const [QUOTE, COMMA, BACKSLASH, NEWLINE] = [34, 44, 92, 10]
const OPENING = new Set([91, 123])
const CLOSING = new Set([93, 125])

type Span = readonly [start: number, end: number]

export interface Lines {
  readonly lines: Uint8Array
  /** Accepted events that are no longer among the records' events. */
  readonly leftOutCount: number
}

/** The lines with the one record changed. A record that is not among them changes nothing. */
export function leaveOut(lines: Uint8Array, what: LeftOut): Lines {
  const bytes = Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength)
  const prefix = `{"o":${what.offset},`
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(NEWLINE, start) + 1
    if (end === 0) break
    if (bytes.toString('latin1', start, start + prefix.length) === prefix) {
      const { line, count } = rewritten(bytes.subarray(start, end - 1), what)
      const changed = [bytes.subarray(0, start), Buffer.from(line), bytes.subarray(end)]
      return { lines: Buffer.concat(changed), leftOutCount: count }
    }
    start = end
  }
  return { lines, leftOutCount: 0 }
}

/** A record without events that says how many are damaged, up to `offset`. */
export function damagedLine(
  offset: number,
  tenantNo: number,
  receivedMs: number,
  counts: { readonly events: number; readonly records: number; readonly fromOffset: number },
): Buffer {
  const detail =
    `${counts.events} events in ${counts.records} records from offset ${counts.fromOffset} to ` +
    `${offset} are damaged in the log; what is left of them is in log/quarantine`
  const rejection = rejectionOf(DAMAGED_RECORDS, 'damaged', detail, '')
  return Buffer.from(
    `{"o":${offset},"t":${tenantNo},"s":0,"r":${receivedMs},"q":null,"b":"damaged","n":0,"f":0` +
      `,"i":null,"d":{},"c":{},"e":null,"p":null,"x":[${rejection}],"k":"00000000"}\n`,
  )
}

function rewritten(line: Buffer, what: LeftOut): { line: Buffer; count: number } {
  const members = new Map<string, Span>()
  for (const [start, end] of partsOf(line, 0)) {
    const colon = line.indexOf(':', start)
    members.set(line.toString('latin1', start + 1, colon - 1), [colon + 1, end])
  }
  const text = (name: string) => line.toString('utf8', ...(members.get(name) ?? [0, 0]))
  if (what.how === 'events' && what.ranges.length === 0) {
    return { line: Buffer.concat([line, Buffer.from('\n')]), count: 0 }
  }
  // Packed columns have no bytes of a single event.
  const isWhole = what.how !== 'events' || text('p') !== 'null'
  const changed = isWhole ? withoutAll(text, what) : withoutSome(line, members, text, what)
  // `k` no longer fits, but keeps its place: the ends of lines are looked at (lake/record-forms.ts).
  const parts = [...members.keys()].map(
    (name) => `"${name}":${changed.members[name] ?? text(name)}`,
  )
  return { line: Buffer.from(`{${parts.join(',')}}\n`), count: changed.count }
}

interface Changed {
  /** JSON texts. */
  readonly members: Readonly<Record<string, string>>
  readonly count: number
}

function withoutAll(text: (name: string) => string, what: LeftOut): Changed {
  const count = Number(text('n'))
  const body = ['e', 'p', 'x'].map(text).find((value) => value !== 'null') ?? ''
  const raw = what.how === 'bare' ? '' : body
  const detail = `${count} events of one record: ${what.detail}`
  const rejection = rejectionOf(WHOLE_RECORD, 'undeliverable', detail, raw)
  const members = { n: '0', i: 'null', d: '{}', c: '{}', e: 'null', p: 'null', x: `[${rejection}]` }
  return { members, count }
}

function withoutSome(
  line: Buffer,
  spans: ReadonlyMap<string, Span>,
  text: (name: string) => string,
  what: LeftOut,
): Changed {
  const events = text('e') === 'null' ? [] : partsOf(line, spans.get('e')![0])
  const places: number[] = JSON.parse(text('i')) ?? [...events.keys()]
  const isOut = (at: number) => what.ranges.some(([from, to]) => at >= from && at < to)
  const kept = [...events.keys()].filter((at) => !isOut(at))
  const refused = text('x') === 'null' ? [] : [text('x').slice(1, -1)]
  for (const [at, [start, end]] of events.entries()) {
    if (!isOut(at)) continue
    const raw = line.toString('utf8', start, end).trim()
    refused.push(rejectionOf(places[at]!, 'undeliverable', what.detail, raw))
  }
  const bytes = kept.map((at) => line.toString('utf8', ...events[at]!))
  return {
    members: {
      n: String(kept.length),
      i: `[${kept.map((at) => places[at]).join(',')}]`,
      e: kept.length === 0 ? 'null' : `[${bytes.join(',')}]`,
      x: refused.length === 0 ? 'null' : `[${refused.join(',')}]`,
    },
    count: events.length - kept.length,
  }
}

function rejectionOf(index: number, code: string, detail: string, raw: string): string {
  const cut = (text: string, lengthMax: number) =>
    // Through bytes and back: half a surrogate pair would be refused by the reader of the line.
    Buffer.from(text.slice(0, lengthMax)).toString().replaceAll('\0', '')
  return JSON.stringify({
    index,
    stage: 'delivery',
    code,
    detail: cut(detail, DETAIL_LENGTH_MAX),
    pointer: '',
    raw: cut(raw, RAW_LENGTH_MAX),
  })
}

/** The parts between the commas of the array or object that begins at `start`. */
function partsOf(bytes: Buffer, start: number): Span[] {
  const parts: Span[] = []
  let depth = 0
  let partStart = start + 1
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte === QUOTE) at = stringEnd(bytes, at)
    else if (OPENING.has(byte)) depth++
    else if (CLOSING.has(byte) && --depth === 0) {
      if (at > partStart) parts.push([partStart, at])
      return parts
    } else if (byte === COMMA && depth === 1) {
      parts.push([partStart, at])
      partStart = at + 1
    }
  }
  throw new RangeError('a record ends inside one of its members')
}

function stringEnd(bytes: Buffer, start: number): number {
  let at = start + 1
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return at
}

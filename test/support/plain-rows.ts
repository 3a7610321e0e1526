/**
 * What rows of `events` a record of the log stands for, in plain JavaScript and one event at a time:
 * the specification that the lake's SQL is held to. Written from docs/formats (lake, log, wire), slow,
 * and sharing nothing with the SQL but the protocol's constants.
 *
 * Times are microseconds since 1970; `data` is a value, not text.
 */
import { DATA_COLUMNS, limits, PURPOSES, parseTimestamp } from '@millrace/protocol'

// biome-ignore lint/suspicious/noExplicitAny: records are whatever JSON the log holds
type Json = any
export type PlainRow = Record<string, unknown>

const KNOWN = Object.entries(DATA_COLUMNS)

export function plainRows(record: Json): PlainRow[] {
  if (record.p === null) {
    return (record.e ?? []).map((event: Json, place: number) =>
      plainRow(record, event, record.i?.[place] ?? place),
    )
  }
  return unpacked(record.p).map((event, place) => {
    // Flags speak of the entries of `data`: what came as columns is in columns, whatever they say.
    const isEntry = record.p.data?.[String(place)] !== undefined
    return plainRow(isEntry ? record : { ...record, f: record.f & 4 }, event, place)
  })
}

/** The events that packed columns stand for. */
export function unpacked(p: Json): Json[] {
  return p.t.map((t: number, place: number) => {
    const event: Json = { eventType: p.types[p.type?.[place] ?? 0], timestamp: p.t0 + t }
    const target = p.target?.[place] ?? -1
    if (target >= 0) event.target = p.targets[target]
    if (p.seq !== undefined) event.seq = p.seq + place
    const data = p.data?.[String(place)] ?? columnsData(p, place)
    if (Object.keys(data).length > 0 || p.data?.[String(place)] !== undefined) event.data = data
    return event
  })
}

function columnsData(p: Json, place: number): Json {
  const data: Json = {}
  for (const [axis, client, page, offset] of [
    ['x', 'clientX', 'pageX', 'offsetX'],
    ['y', 'clientY', 'pageY', 'offsetY'],
  ] as const) {
    const at = p[axis]?.[place] ?? null
    const by = (p[offset] === undefined ? p.all?.[offset] : p[offset][place]) ?? null
    if (at !== null) data[client] = at
    if (at !== null && by !== null) data[page] = at + by
  }
  for (const key of ['pointerId', 'pointerType']) {
    if (p.all?.[key] !== undefined) data[key] = p.all[key]
  }
  return data
}

function plainRow(record: Json, event: Json, index: number): PlainRow {
  const { d, c } = record
  return {
    batch_id: record.b,
    event_index: index,
    event_id: event.eventId ?? null,
    event_type: event.eventType,
    ...times(record, event),
    visitor_id: event.visitorId ?? d.visitorId ?? null,
    user_id: event.userId ?? d.userId ?? null,
    client_session_id: event.sessionId ?? d.sessionId ?? null,
    page_id: event.pageId ?? d.pageId ?? null,
    seq: event.seq ?? null,
    source: `source-${record.s}`,
    ...page(event.path ?? d.path ?? '/', c.origin ?? null),
    browser: event.browser ?? d.browser ?? c.browser ?? null,
    os: c.os ?? null,
    device: c.device ?? null,
    country: c.country ?? null,
    bot: c.bot ?? null,
    target: event.target ?? null,
    consent: consent(event.consent, c.gpc) ?? consent(d.consent, c.gpc),
    ...dataColumns(record.f, event.data ?? {}),
    log_offset: record.o,
  }
}

function times({ r, q, f }: Json, event: Json): PlainRow {
  const isHistorical = (f & 4) !== 0
  const client = parseTimestamp(event.timestamp)!
  const shift =
    !isHistorical && q !== null && Math.abs(r - q) > limits.CLOCK_CORRECTION_MIN_MS ? r - q : 0
  const corrected = client + shift
  const suspect =
    !isHistorical &&
    (corrected < r - limits.CLOCK_PAST_MAX_MS || corrected > r + limits.CLOCK_FUTURE_MAX_MS)
  return {
    event_time: (suspect ? r : corrected) * 1000,
    received_at: r * 1000,
    client_time: client * 1000,
    clock_suspect: suspect,
  }
}

function page(address: string, origin: string | null): PlainRow {
  const isUrl = ['?', '#', '://'].some((mark) => address.includes(mark))
  const [, beforeQuery = '', query = ''] = /^([^?#]*)(?:\?([^#]*))?/.exec(address)!
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/]*)/i.exec(beforeQuery)
  const path = authority === null ? beforeQuery : beforeQuery.slice(authority[0].length)
  const parameters = isUrl ? query.split('&').map((pair) => pair.split(/=(.*)/s)) : []
  const utm = (name: string) => {
    const found = parameters.find(([key]) => key === `utm_${name}`)?.[1]
    return found ? decodeURIComponent(found.replaceAll('+', ' ')) : null
  }
  const clickIds = /^(?:gclid|gbraid|wbraid|dclid|fbclid|msclkid|ttclid|twclid|li_fat_id)$/
  const click = parameters.find(([key, value]) => clickIds.test(key!) && value)
  return {
    host: (isUrl ? hostOf(authority?.[1]) : null) ?? hostOf(origin?.split('://')[1]),
    path: isUrl ? path || '/' : address,
    ...Object.fromEntries(
      ['source', 'medium', 'campaign', 'term', 'content'].map((name) => [`utm_${name}`, utm(name)]),
    ),
    click_id: click === undefined ? null : `${click[0]}=${click[1]}`,
  }
}

function hostOf(authority: string | undefined): string | null {
  return authority?.split('@').at(-1)?.toLowerCase() || null
}

function consent(stated: Json, gpc: boolean): string | null {
  if (PURPOSES.every((purpose) => (stated?.[purpose] ?? null) === null)) return null
  return PURPOSES.filter(
    (purpose) => stated[purpose] === true && (purpose === 'measure' || !gpc),
  ).join(',')
}

/** The flags of a batch whose events have these `data`, as the log's format defines them. */
export function flagsOf(datas: readonly Json[]): number {
  let flags = 0
  for (const [key, value] of datas.flatMap((data) => Object.entries(data ?? {}))) {
    if (!(key in DATA_COLUMNS)) flags |= 1
    else if (!fits(key as keyof typeof DATA_COLUMNS, value)) flags |= 3
  }
  return flags
}

function fits(key: keyof typeof DATA_COLUMNS, value: unknown): boolean {
  const { kind } = DATA_COLUMNS[key]
  if (kind === 'text') return typeof value === 'string'
  if (typeof value !== 'number') return false
  return kind === 'coordinate' || (Number.isInteger(value) && Math.abs(value) <= 2 ** 31 - 1)
}

/** The column takes one whole number that the door calls wild: −2^31 has its 32 bits as well. */
function isTaken(key: keyof typeof DATA_COLUMNS, value: unknown): boolean {
  return fits(key, value) || (DATA_COLUMNS[key].kind === 'integer' && value === -(2 ** 31))
}

function dataColumns(flags: number, data: Json): PlainRow {
  const columns = KNOWN.map(([key, { column }]) => {
    const fitting = isTaken(key as keyof typeof DATA_COLUMNS, data[key])
    return [column, fitting ? data[key] : null]
  })
  const rest = Object.entries(data).filter(([key]) => (flags & 2) !== 0 || !(key in DATA_COLUMNS))
  return {
    ...Object.fromEntries(columns),
    data: rest.length === 0 ? null : Object.fromEntries(rest),
  }
}

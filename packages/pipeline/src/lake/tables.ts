/**
 * The lake's tables and their columns: field ids, types, and what each holds.
 *
 * Field ids are for ever: a column may be added with a new id, never renumbered or given another type.
 * Bounds are written for columns marked `bounds` alone: a bound of an identity column would carry a
 * person's id into metadata that outlives the row.
 */

export type ColumnType = 'string' | 'int' | 'long' | 'double' | 'boolean' | 'timestamptz'

export interface Column {
  readonly id: number
  readonly name: string
  readonly type: ColumnType
  readonly required?: true
  readonly bounds?: true
  readonly doc: string
}

export interface TableDefinition {
  readonly name: 'events' | 'identities' | 'rejections'
  readonly columns: readonly Column[]
  /** The timestamp column whose day partitions the table. */
  readonly partitionColumn: string
  readonly doc: string
}

export const EVENTS: TableDefinition = {
  name: 'events',
  partitionColumn: 'event_time',
  doc: 'one row for each accepted event',
  // biome-ignore format: one column a line, as in docs/formats/lake.md
  columns: [
    { id: 1, name: 'batch_id', type: 'string', required: true, doc: 'the batch; (source, batch_id, event_index) is the event' },
    { id: 2, name: 'event_index', type: 'int', required: true, doc: 'place in the batch as sent, from 0' },
    { id: 3, name: 'event_id', type: 'string', doc: "the producer's own id, where it gave one" },
    { id: 4, name: 'event_type', type: 'string', required: true, bounds: true, doc: 'click, pointermove, page, …' },
    { id: 5, name: 'event_time', type: 'timestamptz', required: true, bounds: true, doc: "the client's time, corrected where its clock is more than 30 s off; the received time where it cannot be true" },
    { id: 6, name: 'received_at', type: 'timestamptz', required: true, bounds: true, doc: "the server's time" },
    { id: 7, name: 'client_time', type: 'timestamptz', required: true, bounds: true, doc: 'the time as sent' },
    { id: 8, name: 'clock_suspect', type: 'boolean', required: true, doc: 'event_time is received_at because client_time could not be true' },
    { id: 9, name: 'visitor_id', type: 'string', doc: 'pseudonym of the browser' },
    { id: 10, name: 'user_id', type: 'string', doc: 'who is logged in, as the site says' },
    { id: 11, name: 'group_id', type: 'string', doc: 'data.groupId' },
    { id: 12, name: 'client_session_id', type: 'string', doc: "the tracker's session; reports use session_id of the table sessions" },
    { id: 13, name: 'page_id', type: 'string', doc: 'one view of one page; order inside it is seq' },
    { id: 14, name: 'seq', type: 'int', doc: 'running number on the page, from 0' },
    { id: 15, name: 'source', type: 'string', required: true, bounds: true, doc: 'name of the source' },
    { id: 16, name: 'host', type: 'string', doc: 'host of the page' },
    { id: 17, name: 'path', type: 'string', required: true, doc: 'path of the page, without its query' },
    { id: 18, name: 'referrer', type: 'string', doc: 'data.referrer' },
    { id: 19, name: 'utm_source', type: 'string', doc: "from the page's query" },
    { id: 20, name: 'utm_medium', type: 'string', doc: "from the page's query" },
    { id: 21, name: 'utm_campaign', type: 'string', doc: "from the page's query" },
    { id: 22, name: 'utm_term', type: 'string', doc: "from the page's query" },
    { id: 23, name: 'utm_content', type: 'string', doc: "from the page's query" },
    { id: 24, name: 'click_id', type: 'string', doc: 'name=value of an advertising click id (gclid, fbclid, msclkid, …)' },
    { id: 25, name: 'browser', type: 'string', doc: 'as sent, else from the user agent' },
    { id: 26, name: 'os', type: 'string', doc: 'from the user agent' },
    { id: 27, name: 'device', type: 'string', doc: 'desktop, mobile, tablet, …' },
    { id: 28, name: 'country', type: 'string', doc: 'ISO 3166-1 alpha-2, where a database or a proxy says it' },
    { id: 29, name: 'timezone', type: 'string', doc: 'data.timezone' },
    { id: 30, name: 'bot', type: 'boolean', doc: 'the user agent names a bot' },
    { id: 31, name: 'target', type: 'string', doc: 'reference to the DOM element' },
    { id: 32, name: 'pointer_id', type: 'int', doc: 'data.pointerId: which finger' },
    { id: 33, name: 'pointer_type', type: 'string', doc: 'data.pointerType: mouse, touch, pen' },
    { id: 34, name: 'button', type: 'int', doc: 'data.button' },
    { id: 35, name: 'client_x', type: 'double', bounds: true, doc: 'data.clientX: CSS pixels in the viewport' },
    { id: 36, name: 'client_y', type: 'double', bounds: true, doc: 'data.clientY' },
    { id: 37, name: 'page_x', type: 'double', bounds: true, doc: 'data.pageX: CSS pixels on the page' },
    { id: 38, name: 'page_y', type: 'double', bounds: true, doc: 'data.pageY' },
    { id: 39, name: 'scroll_x', type: 'double', bounds: true, doc: 'data.scrollX' },
    { id: 40, name: 'scroll_y', type: 'double', bounds: true, doc: 'data.scrollY' },
    { id: 41, name: 'viewport_w', type: 'int', bounds: true, doc: 'data.viewportW' },
    { id: 42, name: 'viewport_h', type: 'int', bounds: true, doc: 'data.viewportH' },
    { id: 43, name: 'page_w', type: 'int', bounds: true, doc: 'data.pageW' },
    { id: 44, name: 'page_h', type: 'int', bounds: true, doc: 'data.pageH' },
    { id: 45, name: 'consent', type: 'string', doc: 'purposes agreed to, joined by commas in the order measure, profile, personalize; null: not stated' },
    { id: 46, name: 'data', type: 'string', doc: 'what of data has no column, as JSON text; the view events shows the whole' },
    { id: 47, name: 'log_offset', type: 'long', required: true, bounds: true, doc: "the batch's record in the log" },
  ],
}

export const IDENTITIES: TableDefinition = {
  name: 'identities',
  partitionColumn: 'received_at',
  doc: 'one row for each identify event; rows are never rewritten, the view people stitches them',
  // biome-ignore format: one column a line, as in docs/formats/lake.md
  columns: [
    { id: 1, name: 'visitor_id', type: 'string', doc: 'the browser' },
    { id: 2, name: 'user_id', type: 'string', doc: 'the person, as the site says' },
    { id: 3, name: 'identified_at', type: 'timestamptz', required: true, bounds: true, doc: "the identify event's event_time" },
    { id: 4, name: 'received_at', type: 'timestamptz', required: true, bounds: true, doc: "the server's time" },
    { id: 5, name: 'traits', type: 'string', doc: "the identify event's whole data, as JSON text" },
    { id: 6, name: 'source', type: 'string', required: true, doc: 'name of the source' },
    { id: 7, name: 'batch_id', type: 'string', required: true, doc: 'the batch' },
    { id: 8, name: 'event_index', type: 'int', required: true, doc: 'place in the batch' },
    { id: 9, name: 'log_offset', type: 'long', required: true, bounds: true, doc: "the batch's record in the log" },
  ],
}

export const REJECTIONS: TableDefinition = {
  name: 'rejections',
  partitionColumn: 'received_at',
  doc: 'one row for each refused event: look, fix, replay',
  // biome-ignore format: one column a line, as in docs/formats/lake.md
  columns: [
    { id: 1, name: 'rejection_id', type: 'string', required: true, doc: 'log identity, offset and place: the same at every delivery' },
    { id: 2, name: 'received_at', type: 'timestamptz', required: true, bounds: true, doc: "the server's time" },
    { id: 3, name: 'stage', type: 'string', required: true, doc: 'where it was refused: door or delivery' },
    { id: 4, name: 'code', type: 'string', required: true, bounds: true, doc: 'why, to branch on' },
    { id: 5, name: 'detail', type: 'string', required: true, doc: 'why, with the values' },
    { id: 6, name: 'pointer', type: 'string', required: true, doc: 'JSON pointer (RFC 6901) into the event; empty for the event itself' },
    { id: 7, name: 'raw', type: 'string', required: true, doc: "the event's text as it came" },
    { id: 8, name: 'batch_id', type: 'string', required: true, doc: 'the batch' },
    { id: 9, name: 'event_index', type: 'int', required: true, doc: 'place in the batch as sent; -1: the whole batch, -2: damaged records' },
    { id: 10, name: 'source', type: 'string', required: true, doc: 'name of the source' },
    { id: 11, name: 'log_offset', type: 'long', required: true, bounds: true, doc: "the batch's record in the log" },
    { id: 12, name: 'replayed_at', type: 'timestamptz', doc: 'when it was replayed' },
  ],
}

export const TABLES = [EVENTS, IDENTITIES, REJECTIONS] as const

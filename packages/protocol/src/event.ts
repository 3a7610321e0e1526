/**
 * One event, exactly as the wire carries it.
 *
 * The six members of the original architecture (`eventType, browser, timestamp, path, target, data`)
 * plus optional ids. The schema here is the specification: the OpenAPI page is printed from it, the
 * collector's byte scanner is held to it by a differential test, and the lake's columns come from it.
 * Members it does not list are refused (`unknown_field`) rather than dropped unseen: whatever is a
 * sender's own belongs into `data`, which takes any JSON object.
 */
import { type Static, Type } from 'typebox'
import * as limits from './limits.ts'

/** No control characters: names and ids end up in terminals, CSV and logs. */
const NAME = '^[^\\u0000-\\u001f\\u007f]*$'

const optional = <T extends Type.TSchema>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]))
const id = () => Type.String({ minLength: 1, maxLength: limits.ID_LENGTH_MAX, pattern: NAME })

export const PURPOSES = ['measure', 'profile', 'personalize'] as const
/** What a visitor agreed to. Absent: not stated (`measure` is done, the others are not). */
export const Consent = Type.Object(
  Object.fromEntries(PURPOSES.map((purpose) => [purpose, Type.Optional(Type.Boolean())])) as Record<
    (typeof PURPOSES)[number],
    Type.TOptional<Type.TBoolean>
  >,
  { additionalProperties: false },
)
export type Consent = Static<typeof Consent>

export const Event = Type.Object(
  {
    eventType: Type.String({
      minLength: 1,
      maxLength: limits.EVENT_TYPE_LENGTH_MAX,
      pattern: NAME,
      description: 'The type of the event: click, pointermove, page, …',
    }),
    timestamp: Type.Union([
      Type.String({
        minLength: 1,
        maxLength: limits.TIMESTAMP_LENGTH_MAX,
        description: 'RFC 3339 with a zone, or 2019-11-15 18:05:00Z',
      }),
      Type.Integer({ minimum: 0, maximum: limits.EPOCH_MAX_MS, description: 'Epoch milliseconds' }),
    ]),
    path: Type.String({
      minLength: 1,
      maxLength: limits.PATH_LENGTH_MAX,
      description:
        'Path or URL of the page. In the lake the query is dropped but for campaign parameters.',
    }),
    browser: optional(
      Type.String({ maxLength: limits.BROWSER_LENGTH_MAX, description: 'Browser engine version' }),
    ),
    target: optional(
      Type.String({
        maxLength: limits.TARGET_LENGTH_MAX,
        description: 'Reference to the DOM element that received the event',
      }),
    ),
    data: optional(
      Type.Object(
        {},
        {
          additionalProperties: true,
          description: 'Event specific data. Keys listed in DATA_COLUMNS become columns.',
        },
      ),
    ),
    eventId: optional(id()),
    visitorId: optional(id()),
    userId: optional(id()),
    sessionId: optional(id()),
    pageId: optional(id()),
    seq: optional(
      Type.Integer({
        minimum: 0,
        maximum: limits.INTEGER_MAX,
        description: 'Running number of the event on its page',
      }),
    ),
    consent: optional(Consent),
  },
  { additionalProperties: false },
)
export type Event = Static<typeof Event>

/**
 * Keys of `data` that have a column of their own in the table `events`, and the column's kind.
 * `coordinate` is any JSON number (a 64-bit float column), `integer` fits 32 bits, `text` is a string.
 */
export const DATA_COLUMNS = {
  pointerId: { column: 'pointer_id', kind: 'integer' },
  pointerType: { column: 'pointer_type', kind: 'text' },
  button: { column: 'button', kind: 'integer' },
  clientX: { column: 'client_x', kind: 'coordinate' },
  clientY: { column: 'client_y', kind: 'coordinate' },
  pageX: { column: 'page_x', kind: 'coordinate' },
  pageY: { column: 'page_y', kind: 'coordinate' },
  scrollX: { column: 'scroll_x', kind: 'coordinate' },
  scrollY: { column: 'scroll_y', kind: 'coordinate' },
  viewportW: { column: 'viewport_w', kind: 'integer' },
  viewportH: { column: 'viewport_h', kind: 'integer' },
  pageW: { column: 'page_w', kind: 'integer' },
  pageH: { column: 'page_h', kind: 'integer' },
  referrer: { column: 'referrer', kind: 'text' },
  timezone: { column: 'timezone', kind: 'text' },
  groupId: { column: 'group_id', kind: 'text' },
} as const satisfies Record<string, { column: string; kind: 'integer' | 'coordinate' | 'text' }>

export type DataKey = keyof typeof DATA_COLUMNS

/** Event types that mean something to the pipeline itself; every other name is the sender's. */
export const EVENT_TYPES = {
  page: 'page',
  identify: 'identify',
  pointermove: 'pointermove',
  pointerdown: 'pointerdown',
  pointerup: 'pointerup',
  click: 'click',
  touchstart: 'touchstart',
  touchmove: 'touchmove',
  touchend: 'touchend',
  touchcancel: 'touchcancel',
  scroll: 'scroll',
  visibility: 'visibility',
} as const

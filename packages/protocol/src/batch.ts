/**
 * A batch is what one request carries: one event, an array of events, or an envelope whose other
 * members are defaults for its events. An envelope's events are objects (`events`) or columns
 * (`packed`), never both; packed events have no path of their own, so the envelope has.
 *
 * A batch is identified by (tenant, source, `batchId`) alone. Sent again, it changes nothing, even if
 * `sentAt` differs, as it must on a retry. A bare event or array gets its `batchId` from the
 * `Idempotency-Key` header, or from the server. `historical: true` (imports; needs a server
 * credential) keeps the events' times as they are.
 */
import { type Static, Type } from 'typebox'
import { Consent, Event } from './event.ts'
import * as limits from './limits.ts'
import { Packed } from './packed.ts'
import type { Rejection } from './problem.ts'

/** Letters, digits and `._:-`: a batch id is printed in logs and compared byte by byte. */
export const BATCH_ID_PATTERN = '^[A-Za-z0-9._:-]+$'

const defaultOf = (name: keyof typeof Event.properties) => Event.properties[name]

/** Inside an envelope an event may leave its path to the envelope's. That one of the two is there is
 * the door's business, not the schema's. */
const EnvelopeEvent = Type.Object(
  { ...Event.properties, path: Type.Optional(Event.properties.path) },
  { additionalProperties: false },
)

export const Envelope = Type.Object(
  {
    batchId: Type.Optional(
      Type.String({ minLength: 1, maxLength: limits.ID_LENGTH_MAX, pattern: BATCH_ID_PATTERN }),
    ),
    sentAt: Type.Optional(Event.properties.timestamp),
    key: Type.Optional(
      Type.String({
        maxLength: limits.ID_LENGTH_MAX,
        description: 'Write key, for senders that can set neither query nor header',
      }),
    ),
    browser: defaultOf('browser') as typeof Event.properties.browser,
    path: Type.Optional(Event.properties.path),
    visitorId: defaultOf('visitorId') as typeof Event.properties.visitorId,
    userId: defaultOf('userId') as typeof Event.properties.userId,
    sessionId: defaultOf('sessionId') as typeof Event.properties.sessionId,
    pageId: defaultOf('pageId') as typeof Event.properties.pageId,
    consent: Type.Optional(Type.Union([Consent, Type.Null()])),
    historical: Type.Optional(Type.Boolean()),
    events: Type.Optional(Type.Array(EnvelopeEvent, { maxItems: limits.EVENTS_PER_BATCH_MAX })),
    packed: Type.Optional(Packed),
  },
  { additionalProperties: false, oneOf: [{ required: ['events'] }, { required: ['packed'] }] },
)
export type Envelope = Static<typeof Envelope>

export const Batch = Type.Union([
  Event,
  Type.Array(Event, { maxItems: limits.EVENTS_PER_BATCH_MAX }),
  Envelope,
])

/** The answer to a batch: 202. `rejected` lists the events that were refused, by their place. */
export interface Acknowledgement {
  readonly batchId: string
  readonly accepted: number
  readonly rejected: readonly Rejection[]
  readonly duplicate: boolean
}

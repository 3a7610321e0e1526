/**
 * `POST /v1/batch`: the calls of Segment's HTTP API as events, so that a site that uses such a library
 * changes one host name.
 *
 * Pure translation: a Segment batch in, our envelope out, which then takes the ordinary way. `messageId`
 * becomes `eventId`, `anonymousId` the visitor, `properties` (or `traits`) `data`. The batch has no id
 * of its own; the hash of its message ids is one, so that a retry is recognised.
 */
import { createHash } from 'node:crypto'
import { EVENT_TYPES, type Problem, problem } from '@millrace/protocol'

type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined

/** The envelope as JSON text, with the write key the body may carry. */
export function envelopeOfSegmentBatch(
  body: string,
  receivedAt: string,
): { readonly envelope: string; readonly writeKey: string | undefined } | Problem {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch (error) {
    return problem('malformed_json', (error as Error).message)
  }
  if (!isObject(parsed) || !Array.isArray(parsed.batch)) {
    return problem('invalid_envelope', 'an object with an array "batch" is expected', {
      pointer: '/batch',
    })
  }
  const sentAt = text(parsed.sentAt)
  const envelope = {
    batchId: batchIdOf(parsed.batch),
    ...(sentAt === undefined ? {} : { sentAt }),
    events: parsed.batch.map((call) =>
      isObject(call) ? eventOf(call, sentAt ?? receivedAt) : call,
    ),
  }
  return { envelope: JSON.stringify(envelope), writeKey: text(parsed.writeKey) }
}

function batchIdOf(calls: readonly unknown[]): string | undefined {
  const ids = calls.map((call) => (isObject(call) ? text(call.messageId) : undefined))
  if (ids.length === 0 || ids.includes(undefined)) return undefined
  return `segment-${createHash('sha256').update(JSON.stringify(ids)).digest('hex').slice(0, 32)}`
}

function eventOf(call: Json, fallbackTime: string): Json {
  const properties = isObject(call.properties) ? call.properties : {}
  const page = isObject(call.context) && isObject(call.context.page) ? call.context.page : {}
  const event: Json = {
    eventType: eventTypeOf(call),
    timestamp: call.timestamp ?? call.originalTimestamp ?? fallbackTime,
    path: text(page.url) ?? text(page.path) ?? text(properties.url) ?? text(properties.path) ?? '/',
    data: dataOf(call, properties),
    eventId: text(call.messageId),
    visitorId: text(call.anonymousId),
    userId: text(call.userId),
  }
  for (const key of Object.keys(event)) if (event[key] === undefined) delete event[key]
  return event
}

function eventTypeOf(call: Json): unknown {
  if (call.type === 'track') return call.event
  if (call.type === 'page') return EVENT_TYPES.page
  return call.type
}

function dataOf(call: Json, properties: Json): Json {
  if (call.type === 'identify') return isObject(call.traits) ? call.traits : {}
  if (call.type === 'group')
    return { ...(isObject(call.traits) ? call.traits : {}), groupId: call.groupId }
  return call.name === undefined ? properties : { ...properties, name: call.name }
}

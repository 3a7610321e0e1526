/**
 * `POST /v1/batch`: the calls of Segment's HTTP API as events, so that a site that uses such a library
 * changes one host name.
 *
 * Pure translation: a Segment batch in, our envelope out, which then takes the ordinary way. `messageId`
 * becomes `eventId`, `anonymousId` the visitor, `properties` (or `traits`) `data`. The batch has no id
 * of its own; the hash of its message ids is one, so that a retry is recognised. What cannot be
 * translated is passed on as it is: the door refuses it with its reason, and nothing vanishes.
 */
import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { EVENT_TYPES, type Problem, parseTimestamp, problem } from '@millrace/protocol'

type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined

/** The envelope as JSON text, with the write key the body may carry. */
export function envelopeOfSegmentBatch(
  body: Buffer,
  receivedAt: string,
): { readonly envelope: string; readonly writeKey: string | undefined } | Problem {
  if (!isUtf8(body)) return problem('invalid_utf8', 'the batch is not UTF-8')
  let parsed: unknown
  try {
    parsed = JSON.parse(body.toString())
  } catch (error) {
    return problem('malformed_json', (error as Error).message)
  }
  if (!isObject(parsed) || !Array.isArray(parsed.batch)) {
    return problem('invalid_envelope', 'an object with an array "batch" is expected', {
      pointer: '/batch',
    })
  }
  // A clock's text that the door would not take must not cost the whole batch.
  const sentAt =
    parseTimestamp(text(parsed.sentAt) ?? '') === undefined ? undefined : text(parsed.sentAt)
  const fallbackTime = sentAt ?? receivedAt
  const events = parsed.batch.map((call) => (isObject(call) ? eventOf(call, fallbackTime) : call))
  try {
    // Members that are undefined are left out by JSON.stringify.
    const envelope = JSON.stringify({ batchId: batchIdOf(parsed.batch), sentAt, events })
    return { envelope, writeKey: text(parsed.writeKey) }
  } catch (error) {
    // JSON.parse takes any depth, JSON.stringify only what the stack holds.
    if (!(error instanceof RangeError)) throw error
    return problem('invalid_envelope', 'the batch is nested too deep', { pointer: '/batch' })
  }
}

function batchIdOf(calls: readonly unknown[]): string | undefined {
  const ids = calls.map((call) => (isObject(call) ? text(call.messageId) : undefined))
  if (ids.length === 0 || ids.includes(undefined)) return undefined
  return `segment-${createHash('sha256').update(JSON.stringify(ids)).digest('hex').slice(0, 32)}`
}

function eventOf(call: Json, fallbackTime: string): Json {
  const properties = isObject(call.properties) ? call.properties : {}
  const page = isObject(call.context) && isObject(call.context.page) ? call.context.page : {}
  return {
    eventType: eventTypeOf(call),
    timestamp: call.timestamp ?? call.originalTimestamp ?? fallbackTime,
    path: text(page.url) ?? text(page.path) ?? text(properties.url) ?? text(properties.path) ?? '/',
    data: dataOf(call, properties),
    eventId: idOf(call.messageId),
    visitorId: idOf(call.anonymousId),
    userId: idOf(call.userId),
  }
}

/** Libraries of servers send numbers as well; no id is `''` or null. */
function idOf(value: unknown): unknown {
  if (value === '' || value === null) return undefined
  return typeof value === 'number' ? String(value) : value
}

function eventTypeOf(call: Json): unknown {
  if (call.type === 'track') return call.event
  if (call.type === 'page') return EVENT_TYPES.page
  return call.type
}

function dataOf(call: Json, properties: Json): Json {
  const traits = isObject(call.traits) ? call.traits : {}
  if (call.type === 'identify') return traits
  if (call.type === 'group') return { ...traits, groupId: call.groupId }
  if (call.type === 'alias') return { ...properties, previousId: call.previousId }
  return call.name === undefined ? properties : { ...properties, name: call.name }
}

import { describe, expect, test } from 'vitest'
import { decodeBatch } from './decode.ts'
import { envelopeOfSegmentBatch } from './segment-batch.ts'

const RECEIVED = '2026-11-23T10:00:00.000Z'

function translate(body: unknown): { writeKey: string | undefined; [member: string]: unknown } {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const outcome = envelopeOfSegmentBatch(Buffer.from(text), RECEIVED)
  if ('code' in outcome) throw new Error(`${outcome.code}: ${outcome.detail}`)
  return { ...JSON.parse(outcome.envelope), writeKey: outcome.writeKey }
}
const problemOf = (body: string | Buffer) => {
  const outcome = envelopeOfSegmentBatch(Buffer.from(body), RECEIVED)
  return 'code' in outcome ? outcome.code : undefined
}
const eventsOf = (body: unknown) => translate(body).events as Record<string, unknown>[]
/** What the door makes of it: codes of the refused, or the code that refuses the whole. */
function atTheDoor(body: unknown): readonly string[] | string {
  const outcome = envelopeOfSegmentBatch(Buffer.from(JSON.stringify(body)), RECEIVED)
  if ('code' in outcome) return outcome.code
  const decoded = decodeBatch(Buffer.from(outcome.envelope))
  return decoded.ok ? decoded.batch.rejections.map(({ code }) => code) : decoded.problem.code
}

const TRACK = {
  type: 'track',
  event: 'Order Completed',
  messageId: 'm-1',
  anonymousId: 'a-1',
  userId: 'u-1',
  timestamp: '2026-11-23T09:59:00.000Z',
  properties: { total: 12.5 },
  context: { page: { url: 'https://shop.example/thanks?utm_source=x', path: '/thanks' } },
}

describe('each call becomes one event', () => {
  test('track: the event name is the type, properties are data', () => {
    expect(eventsOf({ batch: [TRACK] })).toEqual([
      {
        eventType: 'Order Completed',
        timestamp: '2026-11-23T09:59:00.000Z',
        path: 'https://shop.example/thanks?utm_source=x',
        data: { total: 12.5 },
        eventId: 'm-1',
        visitorId: 'a-1',
        userId: 'u-1',
      },
    ])
  })

  test.each([
    [
      { type: 'page', name: 'Home', properties: { url: 'https://a.example/' } },
      'page',
      { url: 'https://a.example/', name: 'Home' },
    ],
    [{ type: 'screen', name: 'Cart' }, 'screen', { name: 'Cart' }],
    [{ type: 'identify', userId: 'u', traits: { plan: 'pro' } }, 'identify', { plan: 'pro' }],
    [{ type: 'group', groupId: 'g-1', traits: { size: 3 } }, 'group', { size: 3, groupId: 'g-1' }],
    [{ type: 'alias', userId: 'u', previousId: 'a-1' }, 'alias', { previousId: 'a-1' }],
  ])('%j', (call, eventType, data) => {
    expect(eventsOf({ batch: [call] })).toMatchObject([{ eventType, data }])
  })

  test('a call without a page happens at /', () => {
    expect(eventsOf({ batch: [{ type: 'track', event: 'x' }] })[0]!.path).toBe('/')
  })

  test('ids that are numbers are kept as text, other shapes are refused and not dropped', () => {
    expect(eventsOf({ batch: [{ ...TRACK, userId: 42, anonymousId: '' }] })[0]).toMatchObject({
      userId: '42',
    })
    expect(atTheDoor({ batch: [{ ...TRACK, userId: { id: 1 } }] })).toEqual(['wrong_type'])
  })
})

describe('times', () => {
  const bare = { type: 'track', event: 'x' }
  const timeOf = (call: object, rest: object = {}) =>
    eventsOf({ batch: [call], ...rest })[0]!.timestamp

  test('the call’s own, else the original, else when the batch was sent, else when it came', () => {
    const sentAt = '2026-11-23T09:00:00Z'
    expect(timeOf({ ...bare, timestamp: 't', originalTimestamp: 'o' })).toBe('t')
    expect(timeOf({ ...bare, originalTimestamp: 'o' })).toBe('o')
    expect(timeOf(bare, { sentAt })).toBe(sentAt)
    expect(timeOf(bare)).toBe(RECEIVED)
  })

  test('a sentAt that is no time does not cost the batch', () => {
    for (const sentAt of ['yesterday', '', 7, null])
      expect(atTheDoor({ batch: [bare], sentAt })).toEqual([])
  })
})

describe('the batch id', () => {
  const second = { ...TRACK, messageId: 'm-2' }

  test('is the same for a retry, whatever the clock says then', () => {
    const first = translate({ batch: [TRACK, second], sentAt: '2026-11-23T09:00:00Z' })
    const again = translate({ batch: [TRACK, second], sentAt: '2026-11-23T09:05:00Z' })
    expect(again.batchId).toBe(first.batchId)
    expect(translate({ batch: [second, TRACK] }).batchId).not.toBe(first.batchId)
  })

  test('is left to the server where a call has no id', () => {
    expect(translate({ batch: [TRACK, { type: 'page' }] }).batchId).toBeUndefined()
    expect(translate({ batch: [] }).batchId).toBeUndefined()
  })
})

test('the write key of the body is handed on', () => {
  expect(translate({ batch: [], writeKey: 'wk_1' }).writeKey).toBe('wk_1')
  expect(translate({ batch: [], writeKey: 7 }).writeKey).toBeUndefined()
})

describe('hostile shapes', () => {
  test('what is no batch is refused whole', () => {
    expect(problemOf('{')).toBe('malformed_json')
    expect(problemOf(Buffer.from([0x7b, 0xff, 0x7d]))).toBe('invalid_utf8')
    for (const body of ['null', '[]', '1', '{}', '{"batch":{}}', '{"batch":null}'])
      expect(problemOf(body)).toBe('invalid_envelope')
  })

  test('a call that is no object is refused alone, its neighbours are kept', () => {
    const batch = [null, [TRACK], 'text', 7, TRACK]
    expect(atTheDoor({ batch })).toEqual(Array(4).fill('not_an_object'))
  })

  test('properties and contexts of other shapes count as empty', () => {
    const strange = { ...TRACK, properties: [1], context: { page: 'x' } }
    expect(eventsOf({ batch: [strange] })[0]).toMatchObject({ path: '/', data: {} })
  })

  test('10,000 calls are too many events, not a crash', () => {
    expect(atTheDoor({ batch: Array(10_000).fill({ type: 'page' }) })).toBe('too_many_events')
  })

  test('a mebibyte of brackets is refused', () => {
    const deep = `${'['.repeat(400_000)}${']'.repeat(400_000)}`
    const body = `{"batch":[{"type":"track","event":"x","properties":{"a":${deep}}}]}`
    expect(problemOf(body)).toBe('invalid_envelope')
  })

  test('a __proto__ in properties reaches the door, which refuses it', () => {
    const body = '{"batch":[{"type":"track","event":"x","properties":{"__proto__":{"a":1}}}]}'
    expect(atTheDoor(JSON.parse(body))).toEqual(['forbidden_key'])
  })
})

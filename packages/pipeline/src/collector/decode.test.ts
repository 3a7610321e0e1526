import { limits, type Problem, REJECTIONS, type RejectionCode } from '@millrace/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bodyText, isAcceptable, treeOf } from '../../../../test/support/event-bodies.ts'
import { RECORD_FLAGS } from '../log/event-log.ts'
import { type DecodedBatch, decodeBatch, RAW_LENGTH_MAX } from './decode.ts'

function accept(body: string | Buffer): DecodedBatch {
  const decoded = decodeBatch(Buffer.from(body))
  if (!decoded.ok) throw new Error(`${decoded.problem.code}: ${decoded.problem.detail}`)
  return decoded.batch
}

function refuse(body: string | Buffer): Problem {
  const decoded = decodeBatch(Buffer.from(body))
  if (decoded.ok) throw new Error('the body was taken')
  return decoded.problem
}

const eventsOf = (batch: DecodedBatch) => JSON.parse(batch.events.toString()) as unknown[]
const GOOD = '{"eventType":"click","timestamp":"2019-11-15 18:05:00Z","path":"/"}'
const withMember = (member: string) => `${GOOD.slice(0, -1)},${member}}`
const withData = (data: string) => withMember(`"data":${data}`)

const ARTICLE = `{
"eventType":"the type of the event",
"browser": "browser engine version",
"timestamp": "2019-11-15 18:05:00Z",
"path":"urls of the current page",
"target": "reference to the DOM element that received the event",
"data": { "x": 1 }
}`

describe("the article's event", () => {
  test('is taken as it is printed, once its comma is there', () => {
    const batch = accept(ARTICLE)
    expect(batch.eventCount).toBe(1)
    expect(eventsOf(batch)).toEqual([JSON.parse(ARTICLE)])
    expect(batch.events.toString()).not.toMatch(/[\n\r\t]/)
  })

  test('as printed, without the comma, is refused at the byte where it is missing', () => {
    const text = ARTICLE.replace('00Z",', '00Z"')
    const position = text.indexOf('"path"')
    expect(refuse(text)).toMatchObject({
      status: 400,
      code: 'malformed_json',
      detail: `unexpected "\\"" at byte ${position} (line 5, column 1): expected a comma or }`,
    })
  })
})

const lone = String.raw`"\ud800"`
const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`
const wide = (count: number) =>
  `{${Array.from({ length: count }, (_, i) => `"k${i}":0`).join(',')}}`

/** code, the event, its pointer. */
const REFUSED: readonly (readonly [RejectionCode, string, string])[] = [
  ['not_an_object', '"click"', ''],
  ['not_an_object', '[]', ''],
  ['not_an_object', 'null', ''],
  ['missing_field', '{}', '/eventType'],
  ['missing_field', '{"eventType":"a","path":"/"}', '/timestamp'],
  ['missing_field', '{"eventType":"a","timestamp":1}', '/path'],
  ['unknown_field', withMember('"a/b":{"c":[1]}'), '/a~1b'],
  ['wrong_type', withMember('"data":[]'), '/data'],
  ['wrong_type', withMember('"seq":"1"'), '/seq'],
  ['wrong_type', withMember('"seq":1.0'), '/seq'],
  ['wrong_type', GOOD.replace('"/"', 'null'), '/path'],
  ['wrong_type', withMember('"consent":{"measure":null}'), '/consent/measure'],
  ['wrong_type', GOOD.replace('"click"', '{"a":1}'), '/eventType'],
  ['empty', GOOD.replace('"/"', '""'), '/path'],
  ['empty', withMember('"userId":""'), '/userId'],
  ['too_long', GOOD.replace('click', 'c'.repeat(65)), '/eventType'],
  ['too_long', withMember(`"target":"${'é'.repeat(1_025)}"`), '/target'],
  ['too_long', withMember(`"pageId":"${'\\u00e9'.repeat(129)}"`), '/pageId'],
  ['control_character', GOOD.replace('click', String.raw`a\nb`), '/eventType'],
  ['control_character', withMember(String.raw`"eventId":"\u007f"`), '/eventId'],
  ['control_character', withMember('"visitorId":"a\u007f"'), '/visitorId'],
  ['bad_timestamp', GOOD.replace('11-15', '02-30'), '/timestamp'],
  ['bad_timestamp', GOOD.replace('"2019-11-15 18:05:00Z"', '1.5'), '/timestamp'],
  ['bad_timestamp', GOOD.replace('"2019-11-15 18:05:00Z"', '-1'), '/timestamp'],
  ['number_out_of_range', withMember('"seq":2147483648'), '/seq'],
  ['number_out_of_range', withMember('"seq":-1'), '/seq'],
  ['number_out_of_range', withData('{"a":[0,1e400]}'), '/data/a/1'],
  ['number_out_of_range', withData(`{"a":1${'0'.repeat(309)}}`), '/data/a'],
  ['lone_surrogate', withData(`{"a":{"b":${lone}}}`), '/data/a/b'],
  ['lone_surrogate', withData(`{"a":{${lone}:1}}`), '/data/a'],
  ['lone_surrogate', withMember(String.raw`"browser":"\udc00\ud800"`), '/browser'],
  ['duplicate_key', withMember('"path":"/b"'), '/path'],
  ['duplicate_key', withMember(String.raw`"p\u0061th":"/b"`), '/path'],
  ['duplicate_key', withData(String.raw`{"clientX":1,"client\u0058":2}`), '/data/clientX'],
  ['duplicate_key', withMember('"consent":{"profile":true,"profile":true}'), '/consent/profile'],
  ['forbidden_key', withData('{"a":[{"__proto__":1}]}'), '/data/a/0/__proto__'],
  ['forbidden_key', withMember(String.raw`"\u005f_proto__":1`), '/__proto__'],
  ['too_deep', withData(`{"a":${deep(16)}}`), `/data/a${'/0'.repeat(15)}`],
  ['too_many_keys', withData(wide(201)), '/data'],
  ['too_many_keys', withData(`{"a":${wide(201)}}`), '/data/a'],
  ['event_too_large', withData(`{"a":"${'x'.repeat(65_536)}"}`), ''],
  ['consent_refused', withMember('"consent":{"measure":false}'), ''],
]

describe('a refused event', () => {
  test('there is a case of each code', () => {
    expect(new Set(REFUSED.map(([code]) => code))).toEqual(new Set(Object.keys(REJECTIONS)))
  })

  test.each(REFUSED.map(([code, event, pointer]) => [code, pointer, event] as const))(
    '%s at "%s" is cut out and its neighbours are kept',
    (code, pointer, event) => {
      const before = withMember('"seq":1')
      const after = withMember('"seq":2')
      const batch = accept(`[ ${before} , ${event} ,\n${after}]`)
      expect(batch.events.toString()).toBe(`[${before},${after}]`)
      expect(batch.indexes).toEqual([0, 2])
      expect(batch.eventCount).toBe(2)
      expect(batch.rejections).toHaveLength(1)
      const raw = code === 'consent_refused' ? '' : event.slice(0, RAW_LENGTH_MAX)
      expect(batch.rejections[0]).toMatchObject({ index: 1, code, pointer, raw })
      expect(batch.rejections[0]!.detail.length).toBeLessThanOrEqual(200)
      expect(accept(`[${event},${GOOD}]`).events.toString()).toBe(`[${GOOD}]`)
      expect(accept(`[${event}]`).events.toString()).toBe('[]')
    },
  )

  test('says what stood there', () => {
    const detailOf = (event: string) => accept(`[${event}]`).rejections[0]!.detail
    expect(detailOf(GOOD.replace('11-15', '02-30'))).toMatch(
      /^timestamp "2019-02-30 18:05:00Z": RFC/,
    )
    expect(detailOf('{"path":"/"}')).toMatch(/^eventType, timestamp are missing: /)
    expect(detailOf(GOOD.replace('click', 'c'.repeat(65)))).toMatch(/^eventType has 65 characters/)
    expect(detailOf('7')).toBe('7: an event is a JSON object')
  })

  test('keeps of its text no half of a character', () => {
    const event = withData(`{"a":"${'😀'.repeat(4_000)}","a":${lone}}`)
    for (const pad of ['', ' ']) {
      const raw = accept(`[{${pad}${event.slice(1)}]`).rejections[0]!.raw
      expect(raw.length).toBeGreaterThanOrEqual(RAW_LENGTH_MAX - 1)
      expect(raw).not.toMatch(/[\p{Surrogate}\ufffd]/u)
    }
  })

  test('of a visitor who refused to be measured leaves no text, whatever else is wrong with it', () => {
    const event = `{"userId":"anna","timestamp":1,"x":2,"consent":{"measure":false}}`
    expect(JSON.stringify(accept(`[${event}]`).rejections)).not.toContain('anna')
  })
})

describe('at the limits', () => {
  test.each([
    GOOD.replace('click', 'c'.repeat(64)),
    GOOD.replace('click', '😀'.repeat(32)),
    withMember(`"target":"${'é'.repeat(1_024)}"`),
    withMember(`"pageId":"${'\\u00e9'.repeat(128)}"`),
    withMember('"seq":2147483647'),
    withMember('"seq":null,"data":null,"consent":null'),
    withMember('"target":""'),
    withData(`{"a":${deep(15)}}`),
    withData(wide(200)),
    withData('{"a":1,"a":2}'),
    withData(`{"a":"${'x'.repeat(65_536 - withData('{"a":""}').length)}"}`),
    GOOD.replace('eventType', String.raw`event\u0054ype`),
    GOOD.replace('"/"', String.raw`"/\u0000"`),
    GOOD.replace('"2019-11-15 18:05:00Z"', '253402300799999'),
  ])('%.60s is taken', (event) => {
    expect(accept(`[${event}]`).rejections).toEqual([])
  })

  test('500 events are taken, 501 are not, even if some are bad', () => {
    expect(accept(`[${Array(500).fill(GOOD).join(',')}]`).eventCount).toBe(500)
    const problem = refuse(`[${Array(500).fill(GOOD).join(',')},1]`)
    expect(problem).toMatchObject({ status: 413, code: 'too_many_events' })
    expect(problem.detail).toContain('501')
  })

  test('no event at all is a batch too', () => {
    for (const body of ['[]', '{"events":[ ]}']) {
      expect(accept(body)).toMatchObject({ eventCount: 0, indexes: null, rejections: [] })
    }
  })
})

describe('an envelope', () => {
  test('gives its members and the defaults of its events, wherever they stand', () => {
    const event = GOOD.replace(',"path":"/"', '')
    const text = `\ufeff{"events":[${event}],"batchId":"b-1","sentAt":"2019-11-15T18:05:01+01:00","key":"w",
      "browser":null,"path":"/p","visitorId":"v\\u0031","consent":{\n"profile":true},"historical":true}`
    const batch = accept(text)
    expect(batch).toMatchObject({
      batchId: 'b-1',
      key: 'w',
      historical: true,
      eventCount: 1,
      indexes: null,
    })
    expect(batch.sentMs).toBe(Date.parse('2019-11-15T17:05:01Z'))
    expect(batch.flags).toBe(RECORD_FLAGS.historical)
    expect(JSON.parse(batch.defaults)).toEqual({
      path: '/p',
      visitorId: 'v1',
      consent: { profile: true },
    })
    expect(batch.defaults).not.toContain('\n')
    expect(batch.events.toString()).toBe(`[${event}]`)
  })

  test('its refused purpose holds for events that state none of their own', () => {
    const own = withMember('"consent":{"measure":true}')
    const batch = accept(`{"consent":{"measure":false},"events":[${GOOD},${own},5]}`)
    expect(batch.events.toString()).toBe(`[${own}]`)
    expect(batch.rejections.map(({ code }) => code)).toEqual(['consent_refused', 'consent_refused'])
  })

  test.each([
    ['/foo', '"foo":1,"events":[]'],
    ['/batchId', '"batchId":"a b","events":[]'],
    ['/batchId', '"batchId":null,"events":[]'],
    ['/batchId', '"batchId":"a","batchId":"a","events":[]'],
    ['/browser', '"browser":null,"browser":"b","events":[]'],
    ['/sentAt', '"sentAt":"yesterday","events":[]'],
    ['/sentAt', '"sentAt":1.0,"events":[]'],
    ['/events', '"events":{}'],
    ['/events', '"events":[],"events":[]'],
    ['/events', '"events":null,"events":[]'],
    ['/historical', '"historical":1,"events":[]'],
    ['/path', '"path":null,"events":[]'],
    ['/path', '"path":"","events":[]'],
    ['/userId', '"userId":"a\\n","events":[]'],
    ['/consent/x', '"consent":{"x":true},"events":[]'],
    ['/visitorId', `"visitorId":${lone},"events":[]`],
    ['/__proto__', '"__proto__":1,"events":[]'],
    ['/key', '"events":[],"key":7'],
  ])('with a fault at %s is refused whole: %s', (pointer, members) => {
    expect(refuse(`{${members}}`)).toMatchObject({ status: 400, code: 'invalid_envelope', pointer })
  })
})

describe('a body', () => {
  test.each([
    ['malformed_json', '', 'the body is empty'],
    ['malformed_json', ' \n', 'the body is empty'],
    ['malformed_json', '[1,]', 'byte 3 (line 1, column 4)'],
    ['malformed_json', `[${GOOD}`, 'unexpected end of the body'],
    ['invalid_request', '"a"', 'the body is "a"'],
    ['invalid_request', 'null', 'the body is null'],
  ])('%s: %j', (code, body, detail) => {
    const problem = refuse(body)
    expect(problem.code).toBe(code)
    expect(problem.detail).toContain(detail)
  })

  test('that is not UTF-8 is refused with the byte', () => {
    const bytes = Buffer.concat([Buffer.from(`["é`), Buffer.from([0xff, 0x22, 0x5d])])
    expect(refuse(bytes)).toMatchObject({
      code: 'invalid_utf8',
      detail: 'byte 4 (0xff) is not UTF-8',
    })
    expect(refuse(Buffer.from([0x5b, 0xc3]))).toMatchObject({
      detail: 'byte 1 (0xc3) is not UTF-8',
    })
  })

  test('that is an array of good events is taken without a copy', () => {
    const body = Buffer.from(` [${GOOD},\n${GOOD}] `)
    const decoded = decodeBatch(body)
    expect(decoded.ok && decoded.batch.events.buffer === body.buffer).toBe(true)
    expect(decoded.ok && decoded.batch.events.toString()).toBe(`[${GOOD}, ${GOOD}]`)
  })
})

describe('the flags', () => {
  const { mixed, wild } = RECORD_FLAGS
  test.each([
    [0, '{}'],
    [0, 'null'],
    [0, '{"clientX":1.5e3,"pointerType":"m","button":-2147483647}'],
    [mixed, '{"x":1}'],
    [mixed, '{"clientX":1,"ClientX":2}'],
    [mixed, '{"x":123456789012345}'],
    [mixed | wild, '{"x":[1234567890123456]}'],
    [mixed | wild, '{"clientX":"1"}'],
    [mixed | wild, '{"clientX":null}'],
    [mixed | wild, '{"button":1.0}'],
    [mixed | wild, '{"button":2147483648}'],
    [mixed | wild, '{"referrer":{}}'],
    [mixed | wild, '{"clientX":1234567890123456}'],
    [mixed | wild, '{"button":[]}'],
  ])('are %d for %s', (flags, data) => {
    expect(accept(withData(data)).flags).toBe(flags)
  })

  test('are those of accepted events alone', () => {
    expect(accept(`[${withData('{"x":1}').replace('click', '')},${GOOD}]`).flags).toBe(0)
  })
})

test('the same events are accepted as by JSON.parse, the schema and the written rules', () => {
  let accepted = 0
  let refused = 0
  const property = fc.property(bodyText, (made) => {
    // As it is sent: half a surrogate pair, cut by a mutation, has no UTF-8 and becomes U+FFFD.
    const text = Buffer.from(made).toString()
    let isJson = true
    try {
      JSON.parse(text)
    } catch {
      isJson = false
    }
    const decoded = decodeBatch(Buffer.from(text))
    expect(decoded.ok).toBe(isJson)
    if (!decoded.ok) return
    const events = treeOf(text).elements!
    const indexes = events.flatMap((event, index) => (isAcceptable(event) ? [index] : []))
    const { batch } = decoded
    expect(batch.indexes ?? events.map((_, index) => index)).toEqual(indexes)
    expect(eventsOf(batch)).toEqual(indexes.map((index) => JSON.parse(events[index]!.text)))
    expect(batch.events.toString()).not.toMatch(/[\n\r\t]/)
    expect(batch.eventCount + batch.rejections.length).toBe(events.length)
    accepted += indexes.length
    refused += events.length - indexes.length
  })
  fc.assert(property, { numRuns: 3_000 })
  // A fuzz that takes nothing, or everything, compares nothing.
  expect(Math.min(accepted, refused)).toBeGreaterThan(500)
  expect(limits.EVENTS_PER_BATCH_MAX).toBe(500)
})

import { readFileSync } from 'node:fs'
import { Envelope, limits, type Packed, type Problem, unpackEvents } from '@millrace/protocol'
import fc from 'fast-check'
import { Value } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { judgePacked, packedText } from '../../../../test/support/packed-bodies.ts'
import { RECORD_FLAGS } from '../log/event-log.ts'
import { type DecodedBatch, decodeBatch } from './decode.ts'

const PAGE = readFileSync(new URL('../../../../docs/formats/wire.md', import.meta.url), 'utf8')
const PAGE_EXAMPLE = /```json\n(\{"v":1,.*?)```/s.exec(PAGE)![1]!.replace(/\n */g, '')

const bodyOf = (packed: string, members = '"path":"/"') => `{${members},"packed":${packed}}`

function accept(packed: string, members?: string): DecodedBatch {
  const decoded = decodeBatch(Buffer.from(bodyOf(packed, members)))
  if (!decoded.ok) throw new Error(`${decoded.problem.code}: ${decoded.problem.detail}`)
  return decoded.batch
}

function refuse(body: string): Problem {
  const decoded = decodeBatch(Buffer.from(body))
  if (decoded.ok) throw new Error('the body was taken')
  return decoded.problem
}

const changed = (more: object) => JSON.stringify({ ...JSON.parse(PAGE_EXAMPLE), ...more })
/** With one member's text exchanged. */
const withText = (name: string, text: string) => changed({ [name]: 'HERE' }).replace('"HERE"', text)
const eventsOf = ({ packed, events }: DecodedBatch): readonly object[] =>
  packed === null
    ? JSON.parse(events.toString())
    : unpackEvents(JSON.parse(packed.toString()) as Packed)
/** Of equal texts the values are equal; -0 and 0 are. */
const json = (value: unknown) => JSON.stringify(value)

describe('columns that are in order', () => {
  test('are kept as the bytes that came, in one line', () => {
    const spaced = PAGE_EXAMPLE.replaceAll(',"', ',\n\t"')
    const batch = accept(spaced)
    expect(batch).toMatchObject({ eventCount: 3, flags: 0, indexes: null, rejections: [] })
    expect(batch.packed?.toString()).toBe(PAGE_EXAMPLE.replaceAll(',"', ',  "'))
  })

  test('mean the events of the page about the format', () => {
    const at = (place: number) => eventsOf(accept(PAGE_EXAMPLE))[place]
    const pointer = { pointerId: 1, pointerType: 'mouse' }
    expect(at(0)).toEqual({
      eventType: 'pointermove',
      timestamp: 1_574_000_000_000,
      seq: 12,
      data: { clientX: 10, clientY: 7, pageX: 10, pageY: 347, ...pointer },
    })
    expect(at(2)).toEqual({
      eventType: 'click',
      timestamp: 1_574_000_000_100,
      seq: 14,
      target: '#buy',
      data: { clientX: 12, clientY: 9, button: 0, ...pointer },
    })
  })

  test.each([
    [0, '{"clientX":1}'],
    [RECORD_FLAGS.mixed, '{"own":1}'],
    [RECORD_FLAGS.mixed | RECORD_FLAGS.wild, '{"clientX":"1"}'],
  ])('have the flags %d of their entries: %s', (flags, entry) => {
    expect(accept(withText('data', `{"1":${entry}}`)).flags).toBe(flags)
    const historical = accept(withText('data', `{"1":${entry}}`), '"path":"/","historical":true')
    expect(historical.flags).toBe(flags | RECORD_FLAGS.historical)
  })

  test('may be as many as the limit, and no more', () => {
    const of = (count: number) =>
      json({ v: 1, t0: 0, types: ['a'], t: Array.from({ length: count }, (_, at) => at) })
    const most = limits.PACKED_EVENTS_MAX
    expect(accept(of(most))).toMatchObject({ eventCount: most, rejections: [] })
    expect(accept(of(most)).packed).not.toBeNull()
    expect(refuse(bodyOf(of(most + 1)))).toMatchObject({ status: 413, code: 'too_many_events' })
  })
})

describe('a fault of the shape refuses the batch, with its pointer', () => {
  test.each([
    ['/packed/v', withText('v', '2')],
    ['/packed/v', '{"v":2,"new":1}'],
    ['/packed/v', '{}'],
    ['/packed/t0', withText('t0', '1.0')],
    ['/packed/t0', withText('t0', '253402300800000')],
    ['/packed/seq', withText('seq', '-0')],
    ['/packed/seq', withText('seq', '2147483648')],
    ['/packed/more', withText('more', '1')],
    ['/packed/t', PAGE_EXAMPLE.replace('"t":', '"t":[1,2,3],"t":')],
    ['/packed/t', withText('t', '[]')],
    ['/packed/t', withText('t', '5')],
    ['/packed/t/1', withText('t', '[0,-1,2]')],
    ['/packed/t/2', withText('t', '[0,1,86400001]')],
    ['/packed/t/0', withText('t', '[1e3,1,2]')],
    ['/packed/type/2', withText('type', '[0,1,2]')],
    ['/packed/type', withText('type', '[0,1]')],
    ['/packed/target/0', withText('target', '[2,0,0]')],
    ['/packed/target/1', withText('target', '[0,-2,0]')],
    ['/packed/types', withText('types', '[]')],
    ['/packed/types/1', withText('types', '["a",1]')],
    ['/packed/targets/0', withText('targets', '[null,"b"]')],
    ['/packed/x/0', withText('x', '["1",2,3]')],
    ['/packed/y/2', withText('y', '[1,2,1e400]')],
    ['/packed/y', withText('y', '[1,2,3,4]')],
    ['/packed/all', withText('all', 'null')],
    ['/packed/all/offsetX', withText('all', '{"offsetX":null}')],
    ['/packed/all/pointerId', withText('all', '{"pointerId":1.5}')],
    ['/packed/all/pointerId', withText('all', '{"pointerId":-0}')],
    ['/packed/all/pointerType', withText('all', `{"pointerType":"${'x'.repeat(65)}"}`)],
    ['/packed/all/a~1b', withText('all', '{"a/b":1}')],
    ['/packed/data', withText('data', '[]')],
    ['/packed/data/3', withText('data', '{"3":{}}')],
    ['/packed/data/01', withText('data', '{"01":{}}')],
    ['/packed/data/1', withText('data', '{"1":{},"1":{}}')],
  ])('%s: %s', (pointer, packed) => {
    const problem = refuse(bodyOf(packed))
    expect(problem).toMatchObject({ status: 400, code: 'invalid_envelope', pointer })
    expect(problem.detail).not.toBe('')
  })

  test.each([
    ['/path', `{"packed":${PAGE_EXAMPLE}}`],
    ['/packed', `{"path":"/","packed":${PAGE_EXAMPLE},"events":[]}`],
    ['/packed', `{"path":"/","events":[],"packed":${PAGE_EXAMPLE}}`],
    ['/packed', `{"path":"/","packed":${PAGE_EXAMPLE},"packed":${PAGE_EXAMPLE}}`],
    ['/packed', '{"path":"/","packed":null}'],
    ['/packed', '{"path":"/","packed":[]}'],
  ])('%s of the envelope', (pointer, body) => {
    expect(refuse(body)).toMatchObject({ status: 400, code: 'invalid_envelope', pointer })
  })

  test('says the values, and of another version what to do', () => {
    expect(refuse(bodyOf(withText('type', '[0,1,2]'))).detail).toContain('type/2 is 2')
    expect(refuse(bodyOf(withText('v', '2'))).hint).toMatch(/^Update the server/)
  })
})

describe('a fault of the content refuses its events alone', () => {
  test.each([
    ['duplicate_key', '/data/clientX', 1, withText('data', '{"1":{"clientX":1,"clientX":2}}')],
    ['lone_surrogate', '/data/a', 1, withText('data', String.raw`{"1":{"a":"\ud800"}}`)],
    ['number_out_of_range', '/data/a', 1, withText('data', '{"1":{"a":1e400}}')],
    ['forbidden_key', '/data/__proto__', 1, withText('data', '{"1":{"__proto__":1}}')],
    [
      'too_deep',
      `/data/a${'/0'.repeat(15)}`,
      1,
      withText('data', `{"1":{"a":${'['.repeat(16)}${']'.repeat(16)}}}`),
    ],
    ['wrong_type', '/data', 1, withText('data', '{"1":[]}')],
    ['empty', '/eventType', 2, withText('types', '["a",""]')],
    ['control_character', '/eventType', 2, withText('types', String.raw`["a","\n"]`)],
    [
      'too_long',
      '/target',
      1,
      withText('targets', `["a","${'é'.repeat(1_025)}"]`).replace(
        '"target":[-1,0,0]',
        '"target":[0,1,0]',
      ),
    ],
    ['number_out_of_range', '/seq', 2, withText('seq', '2147483646')],
    ['bad_timestamp', '/timestamp', 2, withText('t0', '253402300799900')],
    ['event_too_large', '', 1, withText('data', `{"1":{"a":"${'x'.repeat(65_500)}"}}`)],
  ])('%s at "%s" of event %d', (code, pointer, index, packed) => {
    const batch = accept(packed)
    expect(batch.rejections).toMatchObject([{ index, code, pointer }])
    expect(batch.rejections[0]!.raw).toMatch(/^\{"eventType":/)
    expect(batch.packed).toBeNull()
    expect(batch.indexes).toEqual([0, 1, 2].filter((place) => place !== index))
    expect(eventsOf(batch)).toEqual(
      unpackEvents(JSON.parse(packed) as Packed).filter((_, place) => place !== index),
    )
  })

  test('far into a long batch, too', () => {
    const t = Array.from({ length: 3_000 }, (_, at) => at)
    const data = Object.fromEntries([499, 500, 2_999].map((place) => [place, 5]))
    const batch = accept(json({ v: 1, t0: 0, types: ['a'], t, data }))
    expect(batch.rejections.map(({ index }) => index)).toEqual([499, 500, 2_999])
    expect(batch.indexes).toEqual(t.filter((place) => !(place in data)))
    expect(eventsOf(batch)).toHaveLength(2_997)
  })

  test('unless as objects they would not fit a body', () => {
    const t = Array.from({ length: 5_000 }, (_, at) => at)
    const targets = ['x'.repeat(1_000)]
    const long = { v: 1, t0: 0, types: ['a'], t, targets, target: t.map(() => 0) }
    expect(accept(json(long)).eventCount).toBe(5_000)
    const problem = refuse(bodyOf(json({ ...long, data: { 7: 5 } })))
    expect(problem).toMatchObject({ status: 413, code: 'body_too_large' })
  })

  test('all of a visitor who refused to be measured, without a text', () => {
    const members = '"path":"/","consent":{"measure":false}'
    for (const packed of [PAGE_EXAMPLE, withText('data', '{"1":7}')]) {
      const batch = accept(packed, members)
      expect(batch).toMatchObject({ eventCount: 0, indexes: [], packed: null })
      expect(batch.rejections.map(({ index, code, raw }) => [index, code, raw])).toEqual(
        [0, 1, 2].map((index) => [index, 'consent_refused', '']),
      )
    }
  })
})

describe('columns are taken exactly as their events would be as objects', () => {
  const seen = { whole: 0, part: 0, none: 0 }

  function isAlike(text: string): void {
    const body = bodyOf(text)
    let isJson = true
    try {
      JSON.parse(body)
    } catch {
      isJson = false
    }
    const decoded = decodeBatch(Buffer.from(body))
    if (!isJson) {
      if (decoded.ok || decoded.problem.code !== 'malformed_json') expect.fail(body)
      return
    }
    const events = judgePacked(text)
    if (events === null) {
      seen.none++
      if (decoded.ok || decoded.problem.code !== 'invalid_envelope') expect.fail(body)
      return
    }
    if (!decoded.ok) expect.fail(`${decoded.problem.detail} ${body}`)
    const { batch } = decoded
    const good = events.flatMap(({ isAccepted }, place) => (isAccepted ? [place] : []))
    expect(batch.indexes ?? events.map((_, place) => place), body).toEqual(good)
    expect(batch.eventCount + batch.rejections.length).toBe(events.length)
    const objects = decodeBatch(Buffer.from(`[${events.map((event) => event.text).join(',')}]`))
    if (!objects.ok) expect.fail(body)
    const reasons = (of: DecodedBatch) => of.rejections.map(({ index, code }) => [index, code])
    expect(reasons(batch), body).toEqual(reasons(objects.batch))
    const withPath = eventsOf(batch).map((event) => ({ ...event, path: '/' }))
    expect(withPath.map(sorted), body).toEqual(eventsOf(objects.batch).map(sorted))
    // Columns hold what their kind takes, so flags come from the entries alone, and are no fewer.
    if (batch.packed !== null) expect(batch.flags & objects.batch.flags).toBe(batch.flags)
    if (batch.packed?.includes('\n')) expect.fail(body)
    if (batch.packed !== null) seen.whole++
    else seen.part++
  }
  const sorted = (event: object) => json(Object.entries(event).sort(([a], [b]) => (a < b ? -1 : 1)))

  test('whatever they are', () => {
    fc.assert(fc.property(packedText, isAlike), { numRuns: 1_500 })
    // A fuzz that takes nothing, or everything, compares nothing.
    expect(Math.min(seen.whole, seen.part, seen.none)).toBeGreaterThan(100)
  })

  test('whichever byte is changed or left out', () => {
    for (let at = 1; at < PAGE_EXAMPLE.length - 1; at++) {
      isAlike(PAGE_EXAMPLE.slice(0, at) + PAGE_EXAMPLE.slice(at + 1))
      isAlike(`${PAGE_EXAMPLE.slice(0, at)}1${PAGE_EXAMPLE.slice(at)}`)
      for (const character of '}],"\\0-.\u0001') {
        isAlike(PAGE_EXAMPLE.slice(0, at) + character + PAGE_EXAMPLE.slice(at + 1))
      }
    }
  })

  test('and whatever bytes of a whole body are changed, none is taken that the schema refuses', () => {
    const whole = Buffer.from(bodyOf(PAGE_EXAMPLE, '"batchId":"b","path":"/","pageId":"p"'))
    const change = fc.tuple(fc.nat(whole.length - 1), fc.oneof(fc.nat(255), fc.constant(0x31)))
    let kept = 0
    const property = fc.property(fc.array(change, { maxLength: 3 }), (changes) => {
      const body = Buffer.from(whole)
      for (const [place, byte] of changes) body[place] = byte
      const text = body.toString()
      const decoded = decodeBatch(body)
      if (!decoded.ok || decoded.batch.packed === null) return
      kept++
      expect([...Value.Errors(Envelope, JSON.parse(text))], text).toEqual([])
    })
    fc.assert(property, { numRuns: 4_000 })
    expect(kept).toBeGreaterThan(100)
  })
})

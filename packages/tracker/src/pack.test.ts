import { type Packed, unpackEvents } from '@millrace/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PACKED_SPAN_MAX_MS, PACKED_TARGETS_MAX, PACKED_TYPES_MAX } from './limits.ts'
import { contentOf, type Happened, pointOf, runLength } from './pack.ts'

const membersOf = (content: string): { packed?: Packed; events?: object[] } =>
  JSON.parse(`{${content}}`)
const eventsOf = (content: string): object[] => {
  const { packed, events } = membersOf(content)
  return packed === undefined ? events! : unpackEvents(packed)
}

const at = (seq: number, more: Partial<Happened> = {}): Happened => {
  return { eventType: 'a', timestamp: 1_000, target: undefined, seq, data: undefined, ...more }
}
const hundredths = fc.integer({ min: -100_000, max: 500_000 }).map((n) => Math.round(n) / 100)
const offset = fc.constantFrom(0, 340, 1_717.6)
const pointData = fc
  .tuple(hundredths, hundredths, offset, offset, fc.nat(1), fc.constantFrom('mouse', 'touch'))
  .map(([clientX, clientY, dx, dy, pointerId, pointerType]) => {
    const pageX = Math.round((clientX + dx) * 100) / 100
    const pageY = Math.round((clientY + dy) * 100) / 100
    return { clientX, clientY, pageX, pageY, button: undefined, pointerId, pointerType }
  })
const data = fc.oneof(
  { weight: 4, arbitrary: pointData },
  pointData.map((one) => ({ ...one, button: 0 })),
  fc.constantFrom({}, { scrollY: 7 }, { text: 'é"\\' }, { clientX: 1, clientY: 2 }),
)
const facts = fc.tuple(
  fc.constantFrom('pointermove', 'pointermove', 'click', 'my own'),
  fc.integer({ min: 1_790_000_000_000, max: 1_790_000_010_000 }),
  fc.constantFrom(undefined, '#a', 'main>b:nth-of-type(2)', '[data-track="é"]'),
  data,
)

test('what is packed is unpacked as it was, to the last digit', () => {
  let columns = 0
  const property = fc.property(fc.array(facts, { minLength: 1, maxLength: 40 }), (all) => {
    const events = all.map(([eventType, timestamp, target, data], seq) => {
      return at(seq, { eventType, timestamp, target, data: pointOf(data) ?? JSON.stringify(data) })
    })
    const plain = all.map(([eventType, timestamp, target, data], seq) => {
      return { eventType, timestamp, target, data, seq }
    })
    const content = contentOf(events)
    expect(eventsOf(content)).toEqual(JSON.parse(JSON.stringify(plain)))
    if (membersOf(content).packed?.x !== undefined) columns++
  })
  fc.assert(property, { numRuns: 500 })
  expect(columns).toBeGreaterThan(100)
})

const move = { clientX: 1, clientY: 2, pageX: 1, pageY: 342, pointerId: 1, pointerType: 'mouse' }

describe('a point', () => {
  test('is what a move says', () => {
    expect(pointOf({ ...move, button: undefined })).toEqual({
      x: 1,
      y: 2,
      offsetX: 0,
      offsetY: 340,
      pointerId: 1,
      pointerType: 'mouse',
    })
  })
  test.each([
    { button: 0 },
    { pointerType: undefined },
    { pointerType: 'x'.repeat(65) },
    { pointerId: -1 },
    { pointerId: 1.5 },
    { clientX: 1e300 },
    { pageY: Number.NaN },
    { clientX: '1' },
    { pageX: null },
  ])('is not one with %j', (more) => {
    expect(pointOf({ ...move, ...more })).toBeUndefined()
  })
})

test('fractions of a pixel that do not add up as they are written are points all the same', () => {
  let points = 0
  for (let n = 0; n < 1_000; n++) {
    const clientY = Math.round(n * 7.13 * 100) / 100
    const pageY = Math.round((clientY + 1_717.6) * 100) / 100
    const point = pointOf({ ...move, clientY, pageY })
    if (point === undefined) continue
    expect(point.y + point.offsetY).toBe(pageY)
    points++
  }
  expect(points).toBeGreaterThan(990)
})

test('an event without data takes none from the columns', () => {
  const events = Array.from({ length: 5 }, (_, seq) =>
    at(seq, { data: seq === 2 ? undefined : pointOf(move) }),
  )
  expect(eventsOf(contentOf(events))[2]).toEqual({
    eventType: 'a',
    timestamp: 1_000,
    seq: 2,
    data: {},
  })
})

describe('a run of events ends', () => {
  const many = (count: number, more: (seq: number) => Partial<Happened>) =>
    Array.from({ length: count }, (_, seq) => at(seq, more(seq)))

  test('at the bounds of the wire', () => {
    const types = many(PACKED_TYPES_MAX + 9, (seq) => ({ eventType: `t${seq}` }))
    expect(runLength(types)).toBe(PACKED_TYPES_MAX)
    const targets = many(PACKED_TARGETS_MAX + 9, (seq) => ({ target: `t${seq}` }))
    expect(runLength(targets)).toBe(PACKED_TARGETS_MAX)
    const late = many(3, (seq) => ({ timestamp: seq < 2 ? 5 : 6 + PACKED_SPAN_MAX_MS }))
    expect(runLength(late)).toBe(2)
    const early = many(3, (seq) => ({ timestamp: seq < 2 ? 6 + PACKED_SPAN_MAX_MS : 5 }))
    expect(runLength(early)).toBe(2)
    expect(runLength([])).toBe(0)
  })
})

test('a move of a hand takes a sixth of its bytes as an object', () => {
  const events = Array.from({ length: 200 }, (_, seq) => {
    const clientX = 600 + Math.round(300 * Math.sin(seq / 40))
    const clientY = 400 + Math.round(200 * Math.cos(seq / 60))
    const data = { ...move, clientX, clientY, pageX: clientX, pageY: clientY + 340 }
    const where = { target: seq % 20 < 15 ? '#buy' : 'main>a', data: pointOf(data) }
    return at(seq, { ...where, eventType: 'pointermove', timestamp: 1_790_000_000_000 + 50 * seq })
  })
  const perMove = contentOf(events).length / events.length
  const asObjects = events.map((one) => contentOf([one]))
  expect(asObjects[0]).toContain('"events":[')
  const perObject = asObjects.join().length / events.length - '"events":[]'.length
  expect(perMove).toBeLessThan(20)
  expect(perObject / perMove).toBeGreaterThan(6)
})

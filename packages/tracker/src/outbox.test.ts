import { type Packed, unpackEvents } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { BATCH_BYTES_MAX, EVENT_BYTES_MAX, PACKED_EVENTS_MAX, QUEUE_BYTES_MAX } from './limits.ts'
import { type Batch, bodyOf, createOutbox, utf8Length } from './outbox.ts'
import type { Happened } from './pack.ts'

const HEAD = '"pageId":"p1",'
const outbox = () => {
  let id = 0
  return createOutbox(() => `batch-${id++}`)
}
/** What an event takes in the queue beside its data. */
const ROOM_BYTES = 64
const event = (seq: number, data?: Happened['data']): Happened => {
  return { eventType: 'a', timestamp: 1_790_000_000_000 + seq, target: undefined, seq, data }
}
const large = (bytes: number, seq = 0) => event(seq, `"${'x'.repeat(bytes - 2)}"`)
const move = (seq: number): Happened => {
  const point = { x: seq % 1_000, y: seq % 700, offsetX: 0, offsetY: 340, pointerId: 1 }
  return { ...event(seq, { ...point, pointerType: 'mouse' }), target: '#é' }
}
const seqsOf = (batch: Batch): (number | null | undefined)[] => {
  const { events, packed } = JSON.parse(bodyOf(batch, 1_790_000_000_000)) as {
    events?: { seq: number }[]
    packed?: Packed
  }
  return (events ?? unpackEvents(packed!)).map(({ seq }) => seq)
}
const fromTo = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => from + index)

describe('a batch', () => {
  test.each([
    ['moves', move],
    ['others', (seq: number) => event(seq, `{"n":${seq},"é":"${'ü'.repeat(70)}"}`)],
    ['both', (seq: number) => (seq % 9 ? move(seq) : event(seq, `{"é":"${'ü'.repeat(seq)}"}`))],
  ])('of %s is never larger than asked for, and holds the events in order', (_, make) => {
    for (const bytesMax of [BATCH_BYTES_MAX, 20_000, 3_000]) {
      const box = outbox()
      for (let seq = 0; seq < 1_000; seq++) box.add(HEAD, make(seq))
      const seen: unknown[] = []
      let batches = 0
      for (let batch = box.take(bytesMax); batch; batch = box.take(bytesMax)) {
        const body = bodyOf(batch, 1_790_000_000_000)
        expect(utf8Length(body)).toBeLessThanOrEqual(bytesMax)
        expect(utf8Length(body)).toBeLessThanOrEqual(batch.bytes)
        expect(seqsOf(batch)).toHaveLength(batch.eventCount)
        seen.push(...seqsOf(batch))
        batches++
      }
      expect(seen).toEqual(fromTo(0, 1_000))
      expect(box.freshBytes).toBe(0)
      // Each is filled: cutting must not make more requests than there is text for.
      expect(batches).toBeLessThanOrEqual(1 + Math.ceil(250_000 / (0.6 * bytesMax)))
    }
  })
  test('holds no more events than the wire takes', () => {
    const box = outbox()
    for (let seq = 0; seq <= PACKED_EVENTS_MAX; seq++) box.add(HEAD, event(seq, '{}'))
    expect(box.take(1_000_000)?.eventCount).toBe(PACKED_EVENTS_MAX)
    expect(box.take(1_000_000)?.eventCount).toBe(1)
    expect(box.take(1_000_000)).toBeUndefined()
  })
  test('never mixes two pages', () => {
    const box = outbox()
    box.add(HEAD, event(1))
    box.add('"pageId":"p2",', event(2))
    box.add('"pageId":"p2",', event(3))
    expect(seqsOf(box.take(BATCH_BYTES_MAX)!)).toEqual([1])
    expect(seqsOf(box.take(BATCH_BYTES_MAX)!)).toEqual([2, 3])
  })
  test('ends where a number of the page is missing', () => {
    const box = outbox()
    for (const seq of [0, 1, 3, 4, 5, 6]) box.add(HEAD, move(seq))
    expect(seqsOf(box.take(BATCH_BYTES_MAX)!)).toEqual([0, 1])
    expect(seqsOf(box.take(BATCH_BYTES_MAX)!)).toEqual([3, 4, 5, 6])
  })
  test('given back is the same batch, and comes before newer events', () => {
    const box = outbox()
    box.add(HEAD, event(1))
    const first = box.take(BATCH_BYTES_MAX)!
    box.add(HEAD, event(2))
    box.giveBack(first)
    expect(box.eventCount).toBe(2)
    expect(box.take(BATCH_BYTES_MAX)).toBe(first)
    expect(seqsOf(box.take(BATCH_BYTES_MAX)!)).toEqual([2])
  })
  test('is not made where not even one event fits', () => {
    const box = outbox()
    box.add(HEAD, large(1_000))
    expect(box.take(900)).toBeUndefined()
    expect(box.take(2_000)?.eventCount).toBe(1)
  })
})

describe('the outbox', () => {
  test('drops the oldest above its bound and says how many', () => {
    const box = outbox()
    let dropped = 0
    for (let seq = 0; seq < 1_100; seq++) dropped += box.add(`${seq}`, large(1_000 - ROOM_BYTES))
    expect(dropped).toBe(1_100 - Math.floor(QUEUE_BYTES_MAX / 1_000))
    expect(box.take(BATCH_BYTES_MAX)?.head).toBe(`${dropped}`)
  })
  test('counts batches in flight against its bound and never drops them', () => {
    const box = outbox()
    for (let seq = 0; seq < 40; seq++) box.add(HEAD, large(1_000 - ROOM_BYTES, seq))
    const first = box.take(BATCH_BYTES_MAX)!
    expect(first.eventCount).toBe(40)
    let dropped = 0
    for (let seq = 0; seq < 1_100; seq++) dropped += box.add(HEAD, large(1_000 - ROOM_BYTES))
    expect(dropped).toBe(1_100 - Math.floor((QUEUE_BYTES_MAX - first.bytes) / 1_000))
    expect(box.giveBack(first)).toBe(0)
    // Now it is the oldest of what can be dropped.
    expect(box.add(HEAD, large(1_000 - ROOM_BYTES))).toBe(40)
  })
  test('refuses an event that no batch could carry', () => {
    expect(outbox().add(HEAD, large(EVENT_BYTES_MAX + 1))).toBe(1)
    expect(outbox().add(HEAD, large(EVENT_BYTES_MAX))).toBe(0)
  })
  test('after clear holds nothing and has its room back', () => {
    const box = outbox()
    for (let seq = 0; seq < 1_000; seq++) box.add(HEAD, large(1_000 - ROOM_BYTES))
    box.giveBack(box.take(BATCH_BYTES_MAX)!)
    expect(box.clear()).toBe(1_000)
    expect(box.eventCount).toBe(0)
    let dropped = 0
    for (let seq = 0; seq < 1_000; seq++) dropped += box.add(HEAD, large(1_000 - ROOM_BYTES))
    expect(dropped).toBe(0)
  })
})

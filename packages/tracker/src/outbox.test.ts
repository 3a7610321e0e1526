import { describe, expect, test } from 'vitest'
import { BATCH_BYTES_MAX, BATCH_EVENTS_MAX, EVENT_BYTES_MAX, QUEUE_BYTES_MAX } from './limits.ts'
import { bodyOf, createOutbox, utf8Length } from './outbox.ts'

const HEAD = '"pageId":"p1",'
const outbox = () => {
  let id = 0
  return createOutbox(() => `batch-${id++}`)
}
const event = (bytes: number) => `"${'x'.repeat(bytes - 2)}"`

describe('a batch', () => {
  test('is never larger than asked for, and holds the events in order', () => {
    const box = outbox()
    for (let seq = 0; seq < 1_000; seq++) box.add(HEAD, `{"seq":${seq},"é":"${'ü'.repeat(70)}"}`)
    const seen: number[] = []
    for (let batch = box.take(BATCH_BYTES_MAX); batch; batch = box.take(BATCH_BYTES_MAX)) {
      const body = bodyOf(batch, 1_790_000_000_000)
      expect(utf8Length(body)).toBeLessThanOrEqual(BATCH_BYTES_MAX)
      expect(utf8Length(body)).toBeLessThanOrEqual(batch.bytes)
      const parsed = JSON.parse(body)
      expect(parsed.events).toHaveLength(batch.eventCount)
      seen.push(...parsed.events.map((each: { seq: number }) => each.seq))
    }
    expect(seen).toEqual(Array.from({ length: 1_000 }, (_, seq) => seq))
  })
  test('holds at most 400 events', () => {
    const box = outbox()
    for (let seq = 0; seq <= BATCH_EVENTS_MAX; seq++) box.add(HEAD, '{}')
    expect(box.take(BATCH_BYTES_MAX)?.eventCount).toBe(BATCH_EVENTS_MAX)
    expect(box.take(BATCH_BYTES_MAX)?.eventCount).toBe(1)
    expect(box.take(BATCH_BYTES_MAX)).toBeUndefined()
  })
  test('never mixes two pages', () => {
    const box = outbox()
    box.add(HEAD, '1')
    box.add('"pageId":"p2",', '2')
    box.add('"pageId":"p2",', '3')
    expect(box.take(BATCH_BYTES_MAX)?.events).toBe('1')
    expect(box.take(BATCH_BYTES_MAX)?.events).toBe('2,3')
  })
  test('given back is the same batch, and comes before newer events', () => {
    const box = outbox()
    box.add(HEAD, '1')
    const first = box.take(BATCH_BYTES_MAX)!
    box.add(HEAD, '2')
    box.giveBack(first)
    expect(box.eventCount).toBe(2)
    expect(box.take(BATCH_BYTES_MAX)).toBe(first)
    expect(box.take(BATCH_BYTES_MAX)?.events).toBe('2')
  })
  test('is not made where not even one event fits', () => {
    const box = outbox()
    box.add(HEAD, event(1_000))
    expect(box.take(900)).toBeUndefined()
    expect(box.take(2_000)?.eventCount).toBe(1)
  })
})

describe('the outbox', () => {
  test('drops the oldest above its bound and says how many', () => {
    const box = outbox()
    let dropped = 0
    for (let seq = 0; seq < 1_100; seq++) dropped += box.add(`${seq}`, event(1_000))
    expect(dropped).toBe(1_100 - Math.floor(QUEUE_BYTES_MAX / 1_000))
    expect(box.take(BATCH_BYTES_MAX)?.head).toBe(`${dropped}`)
  })
  test('counts batches in flight against its bound and never drops them', () => {
    const box = outbox()
    for (let seq = 0; seq < 40; seq++) box.add(HEAD, event(1_000))
    const first = box.take(BATCH_BYTES_MAX)!
    expect(first.eventCount).toBe(40)
    let dropped = 0
    for (let seq = 0; seq < 1_100; seq++) dropped += box.add(HEAD, event(1_000))
    expect(dropped).toBe(1_100 - Math.floor((QUEUE_BYTES_MAX - first.bytes) / 1_000))
    expect(box.giveBack(first)).toBe(0)
    // Now it is the oldest of what can be dropped.
    expect(box.add(HEAD, event(1_000))).toBe(40)
  })
  test('refuses an event that no batch could carry', () => {
    expect(outbox().add(HEAD, event(EVENT_BYTES_MAX + 1))).toBe(1)
    expect(outbox().add(HEAD, event(EVENT_BYTES_MAX))).toBe(0)
  })
  test('after clear holds nothing and has its room back', () => {
    const box = outbox()
    for (let seq = 0; seq < 1_000; seq++) box.add(HEAD, event(1_000))
    box.giveBack(box.take(BATCH_BYTES_MAX)!)
    expect(box.clear()).toBe(1_000)
    expect(box.eventCount).toBe(0)
    let dropped = 0
    for (let seq = 0; seq < 1_000; seq++) dropped += box.add(HEAD, event(1_000))
    expect(dropped).toBe(0)
  })
})

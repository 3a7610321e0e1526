import { beforeEach, describe, expect, test } from 'vitest'
import type { BatchEntry } from '../log/event-log.ts'
import type { Sender } from './admit.ts'
import { ARRIVALS_PER_SECOND_MAX, type Arrival, LiveFeed, WATCHERS_MAX } from './live-feed.ts'

const sender = (tenantNo: number): Sender => ({
  tenantNo,
  source: { sourceNo: 1, tenantNo, name: 'web', writeKey: 'wk', origins: [], createdMs: 0 },
  server: false,
})

function entry(events: readonly object[], more: Partial<BatchEntry> = {}): BatchEntry {
  return {
    tenantNo: 1,
    sourceNo: 1,
    receivedMs: 5,
    sentMs: null,
    batchId: 'b',
    eventCount: events.length,
    flags: 0,
    indexes: null,
    defaults: '{"path":"/default","visitorId":"v"}',
    context: '{}',
    events: Buffer.from(JSON.stringify(events)),
    packed: null,
    rejections: [],
    ...more,
  }
}
const click = { eventType: 'click', timestamp: 1, path: '/a', visitorId: null }

let nowMs = 0
let feed: LiveFeed
beforeEach(() => {
  nowMs = 1_000_000
  feed = new LiveFeed({ now: () => nowMs })
})

function watched(tenantNo = 1): { seen: Arrival[]; end: () => void } {
  const seen: Arrival[] = []
  const end = feed.watch(tenantNo, (arrival) => seen.push(arrival))
  if (end === undefined) throw new Error('too many watch')
  return { seen, end }
}

test('an event arrives with its source, and the envelope’s defaults where it gives none', () => {
  const { seen } = watched()
  feed.publish(sender(1), entry([click]))
  const body = { receivedMs: 5, source: 'web', ...click, visitorId: 'v' }
  expect(seen).toEqual([{ kind: 'event', body }])
})

test('packed events arrive one by one, no more than a watcher may see', () => {
  const { seen } = watched()
  const t = Array.from({ length: 5_000 }, (_, at) => at)
  const packed = { v: 1, t0: 7, types: ['move'], t, x: t, seq: 3 }
  const more = { packed: Buffer.from(JSON.stringify(packed)), eventCount: 5_000 }
  feed.publish(sender(1), entry([], more))
  expect(seen).toHaveLength(ARRIVALS_PER_SECOND_MAX)
  const event = { eventType: 'move', timestamp: 8, seq: 4, data: { clientX: 1 } }
  const defaults = { path: '/default', visitorId: 'v' }
  expect(seen[1]?.body).toEqual({ receivedMs: 5, source: 'web', ...defaults, ...event })
})

test('a refused event arrives before its neighbours, with its reason and its text', () => {
  const { seen } = watched()
  const rejection = { index: 0, code: 'empty', detail: 'd', pointer: '/x', raw: '{}' } as const
  feed.publish(sender(1), entry([click], { rejections: [rejection] }))
  const { index: _, ...told } = rejection
  expect(seen.map(({ kind }) => kind)).toEqual(['rejected', 'event'])
  expect(seen[0]?.body).toEqual({ receivedMs: 5, source: 'web', ...told })
})

test(`at most ${ARRIVALS_PER_SECOND_MAX} a second, over all batches, and again in the next second`, () => {
  const { seen } = watched()
  for (let batch = 0; batch < 4; batch++) feed.publish(sender(1), entry(Array(30).fill(click)))
  expect(seen).toHaveLength(ARRIVALS_PER_SECOND_MAX)
  nowMs += 1_000
  feed.publish(sender(1), entry(Array(30).fill(click)))
  expect(seen).toHaveLength(ARRIVALS_PER_SECOND_MAX + 30)
})

describe('tenants', () => {
  test('see their own and nothing else', () => {
    const one = watched(1)
    const two = watched(2)
    feed.publish(sender(2), entry([click], { tenantNo: 2 }))
    expect(one.seen).toEqual([])
    expect(two.seen).toHaveLength(1)
  })

  test('do not use up each other’s second', () => {
    watched(1)
    const two = watched(2)
    feed.publish(sender(1), entry(Array(100).fill(click)))
    feed.publish(sender(2), entry([click]))
    expect(two.seen).toHaveLength(1)
  })

  test(`have at most ${WATCHERS_MAX} watchers, and a place is free when one ends`, () => {
    const all = Array.from({ length: WATCHERS_MAX }, () => watched())
    expect(feed.watch(1, () => {})).toBeUndefined()
    all[0]?.end()
    expect(feed.watch(1, () => {})).toBeDefined()
  })
})

describe('nothing is parsed', () => {
  const unreadable = new Proxy(entry([click]), {
    get: (_, name) => {
      throw new Error(`${String(name)} was read`)
    },
  })

  test('while nobody watches, or somebody of another tenant does', () => {
    feed.publish(sender(1), unreadable)
    watched(2)
    feed.publish(sender(1), unreadable)
  })

  test('after the last watcher has ended, nor when the second is used up', () => {
    watched().end()
    feed.publish(sender(1), unreadable)
    watched()
    feed.publish(sender(1), entry(Array(60).fill(click)))
    feed.publish(sender(1), unreadable)
  })
})

test('one that ends hears no more, and ending twice ends nobody else', () => {
  const first = watched()
  first.end()
  const second = watched()
  first.end()
  feed.publish(sender(1), entry([click]))
  expect(first.seen).toEqual([])
  expect(second.seen).toHaveLength(1)
})

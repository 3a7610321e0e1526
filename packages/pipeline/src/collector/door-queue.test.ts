import { expect, test } from 'vitest'
import { DoorQueue, TURN_MS, TURN_REQUESTS, WAIT_MS_MAX } from './door-queue.ts'

/** An event loop in which each request takes `costMs` of the one thread. */
function loop(costMs = 1) {
  let nowMs = 0
  let ends: (() => void)[] = []
  const log = { isFull: false }
  const queue = new DoorQueue({
    elapsed: () => nowMs,
    atEnd: (serve) => ends.push(serve),
    later: (serve, ms) => {
      const dueMs = nowMs + ms
      const look = () => {
        if (nowMs < dueMs) ends.push(look)
        else serve()
      }
      ends.push(look)
    },
    isBlocked: () => log.isFull,
  })
  const begun: { id: number; waitedMs: number }[] = []
  let id = 0
  let refused = 0
  return {
    begun,
    queue,
    log,
    refused: () => refused,
    nowMs: () => nowMs,
    rest: (ms: number) => {
      nowMs += ms
    },
    /** One turn in which so many requests are read; how long it takes. */
    turn(requests: number): number {
      const startedMs = nowMs
      for (let at = 0; at < requests; at++) {
        const mine = id++
        const cameMs = nowMs
        nowMs += 0.01
        const begin = () => {
          begun.push({ id: mine, waitedMs: nowMs - cameMs })
          nowMs += costMs
        }
        if (queue.isFull()) refused++
        else queue.enter({ begin }, false)
      }
      const now = ends
      ends = []
      for (const end of now) end()
      return nowMs - startedMs
    },
  }
}

test('a turn begins requests for its time, the others in the turns that follow, in order', () => {
  const { begun, turn } = loop()
  const first = turn(100)
  // What is read at once has its share, and so has what waits at the turn's end.
  expect(first).toBeLessThanOrEqual(2 * TURN_MS + 3)
  expect(begun.length).toBeLessThan(100)
  while (begun.length < 100) expect(turn(0)).toBeLessThanOrEqual(TURN_MS + 1)
  expect(begun.map(({ id }) => id)).toEqual(Array.from({ length: 100 }, (_, at) => at))
})

test('a newcomer does not pass those who wait', () => {
  const { begun, turn } = loop()
  turn(100)
  turn(1)
  while (begun.length < 101) turn(0)
  expect(begun.at(-1)!.id).toBe(100)
})

test('when nobody waits any more, requests begin as they come', () => {
  const { begun, turn } = loop()
  turn(100)
  while (begun.length < 100) turn(0)
  turn(0)
  turn(1)
  expect(begun.at(-1)).toEqual({ id: 100, waitedMs: expect.closeTo(0.01, 5) })
})

test('three times what can be done: the thread is kept busy, nobody let in waits long', () => {
  const { begun, refused, turn, nowMs } = loop()
  for (let turns = 0; turns < 2_000; turns++) turn(3 * TURN_MS)
  expect(refused()).toBeGreaterThan(0)
  // All of the time but what reading costs goes to those who are let in.
  expect(begun.length / nowMs()).toBeGreaterThan(0.95)
  expect(Math.max(...begun.map(({ waitedMs }) => waitedMs))).toBeLessThan(WAIT_MS_MAX + 4 * TURN_MS)
})

test('a burst after a calm is not judged by the calm', () => {
  const { begun, refused, turn, rest } = loop()
  for (let burst = 1; burst <= 3; burst++) {
    turn(100)
    turn(100)
    while (begun.length < 200 * burst) turn(0)
    rest(60_000)
  }
  expect(refused()).toBe(0)
})

test('load that can be done is never refused', () => {
  const { begun, refused, turn } = loop()
  turn(300)
  for (let turns = 0; turns < 1_000; turns++) turn(TURN_MS / 2)
  expect(refused()).toBe(0)
  expect(begun.at(-1)!.waitedMs).toBeLessThan(2 * TURN_MS)
})

test('a turn begins no more than so many, however little each takes', () => {
  const { begun, turn } = loop(0)
  turn(1_000)
  // What is read at once has its share, and so has what waits at the turn's end.
  expect(begun.length).toBe(2 * TURN_REQUESTS)
  turn(0)
  expect(begun.length).toBe(3 * TURN_REQUESTS)
})

test('each turn begins so many, and those whose turn came before do not count', () => {
  const { begun, queue, turn } = loop(0)
  for (let turns = 0; turns < TURN_REQUESTS; turns++) turn(10)
  expect(begun.every(({ waitedMs }) => waitedMs < 0.02)).toBe(true)
  for (let at = 0; at < TURN_REQUESTS; at++) queue.enter({ begin: () => {} }, true)
  turn(10)
  expect(begun.every(({ waitedMs }) => waitedMs < 0.02)).toBe(true)
})

test('one whose turn came before he was read passes those who wait, while the turn has time', () => {
  const { queue, turn, rest } = loop()
  turn(100)
  let passed = 0
  const begin = () => {
    passed++
  }
  queue.enter({ begin }, true)
  expect(passed).toBe(1)
  rest(TURN_MS)
  queue.enter({ begin }, true)
  expect(passed).toBe(1)
  for (let turns = 0; turns < 20; turns++) turn(0)
  expect(passed).toBe(2)
})

test('while the log is full none begins, and none is refused for it', () => {
  const { begun, refused, queue, log, turn, rest } = loop()
  log.isFull = true
  for (let turns = 0; turns < 100; turns++) {
    turn(1)
    rest(5)
  }
  expect(begun).toEqual([])
  expect(queue.isCrowded()).toBe(true)
  log.isFull = false
  rest(5)
  for (let turns = 0; turns < 20; turns++) turn(0)
  expect(begun.map(({ id }) => id)).toEqual(Array.from({ length: 100 }, (_, at) => at))
  expect(queue.isCrowded()).toBe(false)
  expect(refused()).toBe(0)
})

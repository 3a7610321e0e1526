import { expect, test } from 'vitest'
import { STANDING_MS, TURN_MS, TurnBudget } from './turn-budget.ts'

const ACCEPT_MS = 1
const REFUSE_MS = 0.05

/** Turns of an event loop whose sockets have `requests` ready each time. */
function loop() {
  let nowMs = 0
  let end = () => {}
  let idleMs = 0
  const budget = new TurnBudget({ elapsed: () => nowMs, idleMs: () => idleMs }, (ended) => {
    end = ended
  })
  return (requests: number, waitedMs = 0) => {
    idleMs += waitedMs
    nowMs += waitedMs
    const startedMs = nowMs
    let taken = 0
    for (let at = 0; at < requests; at++) {
      const takes = budget.takes()
      if (takes) taken++
      nowMs += takes ? ACCEPT_MS : REFUSE_MS
    }
    end()
    return { taken, refused: requests - taken, turnMs: nowMs - startedMs, nowMs }
  }
}

test('a burst is taken whole, however large', () => {
  const turn = loop()
  expect(turn(400)).toMatchObject({ taken: 400 })
  expect(turn(10)).toMatchObject({ taken: 10 })
  expect(turn(400)).toMatchObject({ taken: 400 })
})

test('load that stays is cut to what a turn can do, and turns are short from then on', () => {
  const turn = loop()
  let last = turn(100)
  for (let at = 0; last.nowMs <= STANDING_MS + 100 && at < 20; at++) {
    expect(last.refused).toBe(0)
    last = turn(100)
  }
  for (let at = 0; at < 50; at++) {
    last = turn(100)
    expect(last.taken).toBe(TURN_MS / ACCEPT_MS)
    expect(last.turnMs).toBeLessThan(TURN_MS + 100 * REFUSE_MS)
  }
})

test('one short turn ends it', () => {
  const turn = loop()
  for (let at = 0; at < 10; at++) turn(100)
  expect(turn(100).refused).toBeGreaterThan(0)
  expect(turn(5)).toMatchObject({ taken: 5 })
  expect(turn(100)).toMatchObject({ taken: 100 })
})

test('load that is just carried is never refused', () => {
  const turn = loop()
  for (let at = 0; at < 1_000; at++) expect(turn(TURN_MS - 1).refused).toBe(0)
})

test('bursts one after another are taken whole while the loop waits between them', () => {
  const turn = loop()
  for (let at = 0; at < 100; at++) expect(turn(400, 5).refused).toBe(0)
  for (let at = 0; at < 10; at++) turn(400)
  expect(turn(400, 5).refused).toBeGreaterThan(0)
  expect(turn(400, 5).refused).toBe(0)
})

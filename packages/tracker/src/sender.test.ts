import { describe, expect, test, vi } from 'vitest'
import { HIDDEN_REQUESTS_MAX, KEEPALIVE_BYTES_MAX } from './limits.ts'
import { createOutbox } from './outbox.ts'
import { createSender } from './sender.ts'
import type { Answer, Transport } from './transport.ts'

/** A transport whose answers the test gives by hand. */
function setup({ outlivesPage = true } = {}) {
  let id = 0
  const outbox = createOutbox(() => `b${id++}`)
  const account = { acknowledged: 0, rejected: 0, dropped: 0 }
  const sent: string[] = []
  const beacons: string[] = []
  const answers: ((answer: Answer) => void)[] = []
  const idOf = (body: string): string => JSON.parse(body).batchId
  let room = KEEPALIVE_BYTES_MAX
  const transport: Transport = {
    outlivesPage,
    room: () => room,
    beacon: (body) => beacons.push(idOf(body)) > 0,
    post(body, bytes) {
      sent.push(idOf(body))
      room -= bytes
      return new Promise((resolve) => answers.push(resolve))
    },
  }
  const sender = createSender(outbox, transport, account)
  const answer = async (status: number, rejectedCount = 0) => {
    answers.shift()?.({ status, rejectedCount, retryAfterMs: undefined })
    await Promise.resolve()
    await Promise.resolve()
  }
  let seq = 0
  const add = (count: number, bytes = 100) => {
    const data = `"${'x'.repeat(bytes - 2)}"`
    for (let n = 0; n < count; n++) {
      outbox.add('"pageId":"p",', {
        eventType: 'a',
        timestamp: 0,
        target: undefined,
        seq: seq++,
        data,
      })
    }
  }
  return { sender, account, sent, beacons, add, answer, outbox }
}

describe('while the page is visible', () => {
  test('one request is in flight at a time, and what came later waits for its own flush', async () => {
    const { sender, sent, add, answer, account } = setup()
    add(500)
    sender.flush()
    expect(sent).toEqual(['b0'])
    await answer(202)
    expect(sent).toEqual(['b0', 'b1'])
    add(10)
    await answer(202, 3)
    expect(sent).toHaveLength(2)
    expect(account).toEqual({ acknowledged: 497, rejected: 3, dropped: 0 })
  })

  test('a batch without an answer is sent again after a pause, with its id', async () => {
    vi.useFakeTimers()
    try {
      const { sender, sent, add, answer, account } = setup()
      add(1)
      sender.flush()
      await answer(0)
      sender.flush()
      expect(sent).toEqual(['b0'])
      await vi.advanceTimersByTimeAsync(2_100)
      expect(sent).toEqual(['b0', 'b0'])
      await answer(202)
      expect(account.acknowledged).toBe(1)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('when the page is left', () => {
  test('everything goes before leave returns, cut to what keepalive still carries', () => {
    const { sender, sent, add, outbox } = setup()
    add(60, 1_000)
    sender.leave()
    expect(outbox.eventCount).toBe(0)
    expect(sent).toEqual(['b0', 'b1'])
  })

  test('later events go at once, but only so many requests at a time', () => {
    const { sender, sent, add } = setup()
    sender.leave()
    for (let n = 0; n < HIDDEN_REQUESTS_MAX + 3; n++) {
      add(1)
      sender.flush()
    }
    expect(sent).toHaveLength(HIDDEN_REQUESTS_MAX)
  })

  test('a beacon is repeated with its id if the page comes back', async () => {
    const { sender, sent, beacons, add, answer, account } = setup({ outlivesPage: false })
    add(1)
    sender.leave()
    expect([beacons, sent]).toEqual([['b0'], []])
    sender.stay()
    expect(sent).toEqual(['b0'])
    await answer(202)
    expect(account.acknowledged).toBe(1)
  })
})

test('what was abandoned is not sent again, even if its request fails afterwards', async () => {
  const { sender, sent, add, answer, account, outbox } = setup()
  add(1)
  sender.flush()
  add(2)
  sender.abandon()
  await answer(503)
  sender.flush()
  sender.leave()
  expect(sent).toEqual(['b0'])
  expect(outbox.eventCount).toBe(0)
  expect(account).toEqual({ acknowledged: 0, rejected: 0, dropped: 3 })
})

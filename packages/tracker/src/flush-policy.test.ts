import { describe, expect, test } from 'vitest'
import { maySend, retryAfterMs, retryDelayMs, type SendState, verdictOf } from './flush-policy.ts'

describe('an answer', () => {
  test.each([
    [202, 'acknowledged'],
    [200, 'acknowledged'],
    [0, 'again'],
    [408, 'again'],
    [429, 'again'],
    [500, 'again'],
    [503, 'again'],
    [304, 'again'],
    [400, 'refused'],
    [401, 'refused'],
    [403, 'refused'],
    [413, 'refused'],
  ])('of %i means %s', (status, verdict) => {
    expect(verdictOf(status)).toBe(verdict)
  })
})

describe('Retry-After', () => {
  test('is read as seconds and as a date, and bounded', () => {
    expect(retryAfterMs('7', 0)).toBe(7_000)
    expect(retryAfterMs('Thu, 01 Jan 1970 00:00:09 GMT', 4_000)).toBe(5_000)
    expect(retryAfterMs('99999', 0)).toBe(600_000)
  })
  test('that says nothing is not there', () => {
    expect(retryAfterMs(null, 0)).toBeUndefined()
    expect(retryAfterMs('soon', 0)).toBeUndefined()
    expect(retryAfterMs('Thu, 01 Jan 1970 00:00:01 GMT', 4_000)).toBeUndefined()
  })
})

describe('the pause before a retry', () => {
  test('is at least a second, at most a minute, and spread between', () => {
    for (const failures of [1, 2, 5, 6, 7, 50, 2_000]) {
      expect(retryDelayMs(failures, undefined, 0)).toBe(1_000)
      expect(retryDelayMs(failures, undefined, 1)).toBe(Math.min(60_000, 1_000 * 2 ** failures))
    }
  })
  test('keeps what the server asked for, and a little more', () => {
    expect(retryDelayMs(9, 5_000, 0)).toBe(5_000)
    expect(retryDelayMs(9, 5_000, 1)).toBe(6_000)
  })
})

describe('a page may send', () => {
  const state: SendState = {
    urgency: 'visible',
    dueEvents: 1,
    requestsInFlight: 0,
    requestsHiddenMax: 6,
    nowMs: 100,
    notBeforeMs: 0,
  }
  test('one request at a time while visible, and only what is due', () => {
    expect(maySend(state)).toBe(true)
    expect(maySend({ ...state, requestsInFlight: 1 })).toBe(false)
    expect(maySend({ ...state, dueEvents: 0 })).toBe(false)
  })
  test('several at a time while hidden', () => {
    const hidden: SendState = { ...state, urgency: 'hidden', dueEvents: 0 }
    expect(maySend({ ...hidden, requestsInFlight: 5 })).toBe(true)
    expect(maySend({ ...hidden, requestsInFlight: 6 })).toBe(false)
  })
  test('during a pause only when it is leaving', () => {
    for (const urgency of ['visible', 'hidden', 'leaving'] as const) {
      expect(maySend({ ...state, urgency, notBeforeMs: 101 })).toBe(urgency === 'leaving')
    }
  })
})

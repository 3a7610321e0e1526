import { expect, test } from 'vitest'
import { isFlushDue } from './flush-policy.ts'

const MIB = 1_048_576
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const NOW = 10_000 * HOUR

test.each([
  ['64 MiB at once', 64 * MIB, 1, 0, true],
  ['a byte less, young', 64 * MIB - 1, 1_000_000, 1, false],
  ['1 MiB in a minute', MIB, 2_600, MINUTE, true],
  ['1 MiB a minute, not a minute old', MIB, 2_600, MINUTE - 1, false],
  ['under 1 MiB a minute at one minute', MIB - 1, 2_600, MINUTE, false],
  ['2 MiB over two minutes', 2 * MIB, 5_200, 2 * MINUTE, true],
  ['one event a second at 15 minutes', 1_000, 900, 15 * MINUTE, true],
  ['one event a second, a little younger', 1_000, 900, 15 * MINUTE - 1, false],
  ['less than one event a second at 15 minutes', 1_000, 899, 15 * MINUTE, false],
  ['one event at 6 hours', 400, 1, 6 * HOUR, true],
  ['one event, a little younger', 400, 1, 6 * HOUR - 1, false],
  ['rejections alone at 6 hours', 400, 0, 6 * HOUR, true],
  ['a received time in the future', 400, 1, -HOUR, false],
  ['a full range with a received time in the future', 64 * MIB, 1, -HOUR, true],
])('%s', (_name, bytes, eventCount, ageMs, due) => {
  const pending = {
    bytes,
    eventCount,
    recordCount: 1,
    oldestReceivedMs: NOW - ageMs,
    nextOffset: 9,
  }
  expect(isFlushDue(pending, NOW)).toBe(due)
})

test('nothing waiting is never due', () => {
  const nothing = { bytes: 0, eventCount: 0, recordCount: 0, oldestReceivedMs: null, nextOffset: 3 }
  expect(isFlushDue(nothing, NOW)).toBe(false)
})

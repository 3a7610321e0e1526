/**
 * `parseTimestamp`'s grammar over bytes: is this an accepted time? Nothing is built.
 *
 * The protocol's function is the specification, and a differential test holds this one to it. The two
 * days at the ends of the accepted years, where an offset decides, are left to it.
 */
import { daysInMonth, parseTimestamp } from '@millrace/protocol'
import { text } from './scan-json.ts'

const DIGIT_0 = 0x30
const DASH = 0x2d
const COLON = 0x3a
const NAN = 100_000
const FRACTION_DIGITS_MAX = 9
const OFFSET_MINUTES_MAX = 14 * 60

/** Two digits as a number; so large that no range holds it when they are not digits. */
function pair(bytes: Uint8Array, at: number): number {
  const tens = bytes[at]! - DIGIT_0
  const ones = bytes[at + 1]! - DIGIT_0
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : NAN
}

export function isTimestamp(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < '2019-11-15T18:05:00Z'.length) return false
  const year = pair(bytes, start) * 100 + pair(bytes, start + 2)
  const month = pair(bytes, start + 5)
  const day = pair(bytes, start + 8)
  if (bytes[start + 4] !== DASH || bytes[start + 7] !== DASH) return false
  if (year < 1970 || year > 9999 || month < 1 || month > 12) return false
  if (day < 1 || (day > 28 && day > daysInMonth(year, month))) return false
  const separator = bytes[start + 10]
  if (separator !== 0x54 && separator !== 0x20) return false
  if (bytes[start + 13] !== COLON || bytes[start + 16] !== COLON) return false
  if (pair(bytes, start + 11) > 23 || pair(bytes, start + 14) > 59) return false
  if (pair(bytes, start + 17) > 59) return false
  const zone = skipFraction(bytes, start + 19, end)
  if (bytes[zone] === 0x5a) return zone + 1 === end
  if (!isOffset(bytes, zone, end)) return false
  const isFirstOrLast = (year === 1970 && month === 1) || (year === 9999 && month === 12)
  return !isFirstOrLast || parseTimestamp(text(bytes, start, end)) !== undefined
}

/** Position of the zone; `end` when the fraction has no digit or too many. */
function skipFraction(bytes: Uint8Array, from: number, end: number): number {
  if (bytes[from] !== 0x2e) return from
  let i = from + 1
  while (i < end && bytes[i]! >= DIGIT_0 && bytes[i]! <= 0x39) i++
  const digits = i - from - 1
  return digits >= 1 && digits <= FRACTION_DIGITS_MAX ? i : end
}

/** `±HH:MM`, at most 14:00, the largest in use. */
function isOffset(bytes: Uint8Array, from: number, end: number): boolean {
  if (end - from !== 6) return false
  if (bytes[from] !== DASH && bytes[from] !== 0x2b) return false
  const hours = pair(bytes, from + 1)
  const minutes = pair(bytes, from + 4)
  return bytes[from + 3] === COLON && minutes <= 59 && hours * 60 + minutes <= OFFSET_MINUTES_MAX
}

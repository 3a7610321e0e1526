/**
 * Client times, strictly: RFC 3339 with a zone, the form `2019-11-15 18:05:00Z`, or epoch ms.
 *
 * `Date.parse` takes `1` as the year 2001 and turns 30 February into 2 March, so it is not asked.
 * Accepted is exactly: `YYYY-MM-DD`, `T` or one blank, `HH:MM:SS`, an optional fraction of 1–9
 * digits, and `Z` or `±HH:MM`; the day must exist, the hour be under 24, minute and second under 60
 * (a leap second has no epoch time), the offset at most 14:00 (the largest in use). Years 1970–9999.
 * The lake's engine reads each accepted form to the same instant; a differential test holds that.
 */
import { EPOCH_MAX_MS } from './limits.ts'

const FORM =
  /^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:Z|([+-])(\d{2}):(\d{2}))$/

/** Days of a month on the proleptic Gregorian calendar. */
export function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

/** Epoch milliseconds of an accepted time (fractions below a millisecond cut), or undefined. */
export function parseTimestamp(value: string | number): number | undefined {
  if (typeof value === 'number')
    return Number.isInteger(value) && value >= 0 && value <= EPOCH_MAX_MS ? value : undefined
  const match = FORM.exec(value)
  if (match === null) return undefined
  const [, year, month, day, hour, minute, second] = match.map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  if (year < 1970 || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month))
    return undefined
  if (hour > 23 || minute > 59 || second > 59) return undefined
  const milliseconds = Number((match[7] ?? '').slice(0, 3).padEnd(3, '0'))
  let offsetMinutes = 0
  if (match[8] !== undefined) {
    const hours = Number(match[9])
    const minutes = Number(match[10])
    if (minutes > 59 || hours * 60 + minutes > 840) return undefined
    offsetMinutes = (match[8] === '-' ? -1 : 1) * (hours * 60 + minutes)
  }
  const epochMs =
    Date.UTC(year, month - 1, day, hour, minute, second, milliseconds) - offsetMinutes * 60_000
  return epochMs >= 0 && epochMs <= EPOCH_MAX_MS ? epochMs : undefined
}

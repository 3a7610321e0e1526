import { describe, expect, test } from 'vitest'
import { daysInMonth, parseTimestamp } from './timestamp.ts'

describe('times that are accepted', () => {
  test.each([
    ['2019-11-15 18:05:00Z', '2019-11-15T18:05:00.000Z'],
    ['2019-11-15T18:05:00Z', '2019-11-15T18:05:00.000Z'],
    ['2019-11-15T18:05:00.1Z', '2019-11-15T18:05:00.100Z'],
    ['2019-11-15T18:05:00.123999999Z', '2019-11-15T18:05:00.123Z'],
    ['2019-11-15T18:05:00+02:00', '2019-11-15T16:05:00.000Z'],
    ['2019-11-15 18:05:00.5-03:30', '2019-11-15T21:35:00.500Z'],
    ['2019-11-15T18:05:00+14:00', '2019-11-15T04:05:00.000Z'],
    ['2019-11-15T18:05:00-00:00', '2019-11-15T18:05:00.000Z'],
    ['2000-02-29T00:00:00Z', '2000-02-29T00:00:00.000Z'],
    ['2024-02-29 23:59:59Z', '2024-02-29T23:59:59.000Z'],
    ['1970-01-01T00:00:00Z', '1970-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('%s is %s', (text, instant) => {
    expect(new Date(parseTimestamp(text)!).toISOString()).toBe(instant)
  })

  test.each([0, 1_573_841_100_000, 253_402_300_799_999])('epoch milliseconds %d', (value) => {
    expect(parseTimestamp(value)).toBe(value)
  })
})

describe('times that are refused', () => {
  test.each([
    ['a day that does not exist', '2019-02-30T10:00:00Z'],
    ['29 February of a common year', '2019-02-29T10:00:00Z'],
    ['29 February of a century', '2100-02-29T10:00:00Z'],
    ['31 April', '2019-04-31T10:00:00Z'],
    ['month 0', '2019-00-10T10:00:00Z'],
    ['month 13', '2019-13-10T10:00:00Z'],
    ['day 0', '2019-01-00T10:00:00Z'],
    ['hour 24', '2019-01-01T24:00:00Z'],
    ['minute 60', '2019-01-01T00:60:00Z'],
    ['a leap second', '2016-12-31T23:59:60Z'],
    ['no zone', '2019-11-15T18:05:00'],
    ['a date alone', '2019-11-15'],
    ['a lower-case zone', '2019-11-15T18:05:00z'],
    ['a lower-case separator', '2019-11-15t18:05:00Z'],
    ['two blanks', '2019-11-15  18:05:00Z'],
    ['an offset without a colon', '2019-11-15T18:05:00+0200'],
    ['an offset past the largest in use', '2019-11-15T18:05:00+14:01'],
    ['an offset with 60 minutes', '2019-11-15T18:05:00+01:60'],
    ['a point without digits', '2019-11-15T18:05:00.Z'],
    ['ten digits of fraction', '2019-11-15T18:05:00.1234567890Z'],
    ['a blank after it', '2019-11-15T18:05:00Z '],
    ['a newline after it', '2019-11-15T18:05:00Z\n'],
    ['the year 1969', '1969-12-31T23:59:59Z'],
    ['an offset back before 1970', '1970-01-01T00:00:00+01:00'],
    ['an offset on past 9999', '9999-12-31T23:59:59-01:00'],
    ['what Date.parse takes for 2001', '1'],
    ['no text', ''],
  ])('%s', (_, text) => {
    expect(parseTimestamp(text)).toBeUndefined()
  })

  test.each([-1, 0.5, 253_402_300_800_000, Number.NaN, Number.POSITIVE_INFINITY])('%d', (value) => {
    expect(parseTimestamp(value)).toBeUndefined()
  })
})

test('every day from 1970 to 2110 is the day that the calendar of Date has', () => {
  for (let year = 1970; year <= 2110; year++) {
    for (let month = 1; month <= 12; month++) {
      expect(daysInMonth(year, month)).toBe(new Date(Date.UTC(year, month, 0)).getUTCDate())
    }
  }
})

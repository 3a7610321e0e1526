import { DATA_COLUMNS, limits, parseTimestamp } from '@millrace/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bodyText, NASTY_VALUES, time } from '../../../../test/support/event-bodies.ts'
import { KeyTable } from './key-table.ts'
import { scanBody } from './scan.ts'
import { FIELDS } from './scan-event.ts'
import { JsonFault } from './scan-json.ts'
import { isTimestamp } from './scan-time.ts'

/** The position of the fault, or undefined for JSON. */
function faultOf(text: string): number | undefined {
  try {
    scanBody(Buffer.from(text), 0)
    return undefined
  } catch (error) {
    if (error instanceof JsonFault) return error.position
    throw error
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe('the grammar', () => {
  test('is that of JSON.parse, whatever is mutated', () => {
    const property = fc.property(bodyText, (text) => {
      expect(faultOf(text) === undefined).toBe(isJson(text))
    })
    fc.assert(property, { numRuns: 3_000 })
  })

  test.each(NASTY_VALUES.map((value) => [value.slice(0, 40), value]))('takes %s', (_, value) => {
    for (const text of [value, `[${value}]`, `{"a":${value}}`, ` \r\n\t[ ${value} , 1 ] `]) {
      expect(faultOf(text)).toBeUndefined()
    }
  })

  test.each([
    ['', 0],
    ['[', 1],
    ['[1', 2],
    ['[1,', 3],
    ['[1,]', 3],
    ['{"a":1,}', 7],
    ['{"a" 1}', 5],
    ['{a:1}', 1],
    ['[01]', 2],
    ['[-]', 2],
    ['[+1]', 1],
    ['[1.]', 3],
    ['[.5]', 1],
    ['[1e]', 3],
    ['[1e+]', 4],
    ['[NaN]', 1],
    ['[tru]', 1],
    ['[nulll]', 5],
    ["['a']", 1],
    ['["a]', 4],
    ['["\\x"]', 3],
    ['["\\u12g4"]', 6],
    ['["\t"]', 2],
    ['[1] 2', 4],
    ['[1]]', 3],
    ['[1}', 2],
    ['{"a":1]', 6],
    ['{"a":[1}', 7],
    ['[/**/1]', 1],
    ['[1\u00a0]', 2],
  ])('finds the fault in %j at byte %d', (text, position) => {
    expect(isJson(text)).toBe(false)
    expect(faultOf(text)).toBe(position)
  })

  test('a megabyte of brackets neither ends the process nor passes', () => {
    const depth = limits.BODY_BYTES_MAX / 2
    expect(faultOf('['.repeat(2 * depth))).toBe(2 * depth)
    expect(faultOf(`${'['.repeat(depth)}${']'.repeat(depth)}`)).toBeUndefined()
    expect(faultOf(`[{"data":${'{"a":['.repeat(100_000)}${']}'.repeat(100_000)}}]`)).toBeUndefined()
  })
})

test('times over bytes are those of parseTimestamp', () => {
  const property = fc.property(time, (text) => {
    const bytes = Buffer.from(`"${text}"`)
    expect(isTimestamp(bytes, 1, bytes.length - 1)).toBe(parseTimestamp(text) !== undefined)
  })
  fc.assert(property, { numRuns: 5_000 })
  for (const text of [
    '1970-01-01T00:00:00+00:01',
    '9999-12-31T23:59:59-00:01',
    '1970-01-01T00:00:00Z',
  ]) {
    const bytes = Buffer.from(text)
    expect(isTimestamp(bytes, 0, bytes.length)).toBe(parseTimestamp(text) !== undefined)
  }
})

describe('a table of keys', () => {
  test.each([
    ['members of an event', FIELDS.map(({ name }) => name as string)],
    ['columns of data', Object.keys(DATA_COLUMNS)],
  ])('finds each of the %s and none beside', (_, names) => {
    const table = new KeyTable(names)
    for (const [index, name] of names.entries()) {
      expect(table.find(Buffer.from(`"${name}"`), 1, 1 + name.length)).toBe(index)
      for (const near of [
        name.slice(1),
        `${name}x`,
        name.toUpperCase(),
        `${name[0]}_${name.slice(2)}`,
      ]) {
        expect(table.find(Buffer.from(near), 0, near.length)).toBe(names.indexOf(near))
      }
    }
    expect(table.find(Buffer.from(''), 0, 0)).toBe(-1)
  })
})

import { expect, test } from 'vitest'
import { parseJson, stringifyJson } from './lossless-json.ts'

test('integers above 2^53 survive a round trip, and no other text changes', () => {
  const text =
    '{"a":3035272945390601066,"b":-3035272945390601066,"c":[9007199254740991,9007199254740993],' +
    '"d":"9007199254740993 \\"9007199254740993\\" ","e":0.12345678901234567,"f":1234567890123456.5}'
  const value = parseJson(text) as Record<string, unknown>
  expect(value).toEqual({
    a: 3035272945390601066n,
    b: -3035272945390601066n,
    c: [9007199254740991, 9007199254740993n],
    d: '9007199254740993 "9007199254740993" ',
    e: 0.12345678901234566,
    f: 1234567890123456.5,
  })
  expect(parseJson(stringifyJson(value))).toEqual(value)
  expect(stringifyJson(value)).toContain('"a":3035272945390601066,')
})

test('text that is not JSON is refused, with and without long integers', () => {
  expect(() => parseJson('{"a":')).toThrow(SyntaxError)
  expect(() => parseJson('{"a":9007199254740993')).toThrow(SyntaxError)
})

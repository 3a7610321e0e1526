import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeBound, doubleBound, encodeBound, truncateLower, truncateUpper } from './bounds.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

test('bounds are serialized as the specification says', () => {
  expect(hex(encodeBound('int', 34))).toBe('22000000')
  expect(hex(encodeBound('int', -1))).toBe('ffffffff')
  expect(hex(encodeBound('long', 34n))).toBe('2200000000000000')
  // 2017-11-16T22:31:08.000001+00:00 of the specification's own examples.
  expect(hex(encodeBound('timestamptz', 1510871468000001n))).toBe('01c3262d215e0500')
  expect(hex(encodeBound('double', 1))).toBe('000000000000f03f')
  expect(hex(encodeBound('string', 'é'))).toBe('c3a9')
  expect(hex(encodeBound('boolean', true))).toBe('01')
  expect(hex(encodeBound('boolean', false))).toBe('00')
})

test.each([
  ['int', -2147483648],
  ['long', -9223372036854775808n],
  ['timestamptz', 253402300799999999n],
  ['double', -0],
  ['double', Number.POSITIVE_INFINITY],
  ['string', 'zé😀'],
  ['boolean', false],
] as const)('a bound of %s %s is decoded as it was encoded', (type, value) => {
  expect(decodeBound(type, encodeBound(type, value))).toBe(value)
})

test('bytes of another length are no bound', () => {
  for (const type of ['int', 'long', 'timestamptz', 'double', 'boolean'] as const) {
    expect(decodeBound(type, Buffer.alloc(3))).toBeUndefined()
  }
})

test('zero is bounded by both zeros, and NaN bounds nothing', () => {
  expect(doubleBound(0, 'lower')).toBe(-0)
  expect(doubleBound(-0, 'upper')).toBe(0)
  expect(doubleBound(Number.NaN, 'lower')).toBeUndefined()
  expect(doubleBound(1.5, 'upper')).toBe(1.5)
})

test('an upper bound is the prefix with its last code point one higher', () => {
  const prefix = 'abcdefghijklmno'
  expect(truncateUpper(`${prefix}p`)).toBe(`${prefix}p`)
  expect(truncateUpper(`${prefix}pq`)).toBe(`${prefix}q`)
  expect(truncateUpper(`${prefix}\u{10ffff}q`)).toBe('abcdefghijklmnp')
  expect(truncateUpper(`${prefix}\ud7ffq`)).toBe(`${prefix}\ue000`)
  expect(truncateUpper('\u{10ffff}'.repeat(17))).toBeUndefined()
  expect(truncateLower('😀'.repeat(20))).toBe('😀'.repeat(16))
})

test('every text lies between its cut bounds, in the order of UTF-8', () => {
  const texts = fc.string({ unit: 'binary', minLength: 0, maxLength: 24 })
  fc.assert(
    fc.property(texts, (text) => {
      const upper = truncateUpper(text)
      expect(Buffer.compare(Buffer.from(truncateLower(text)), Buffer.from(text))).not.toBe(1)
      if (upper !== undefined) {
        expect(Buffer.compare(Buffer.from(text), Buffer.from(upper))).not.toBe(1)
        expect(Array.from(upper).length).toBeLessThanOrEqual(16)
      }
    }),
  )
})

/**
 * Lower and upper bounds of a column in a file: Iceberg's single-value serialization
 * (https://iceberg.apache.org/spec/#binary-single-value-serialization) and string truncation.
 *
 * A bound may be wider than the values, never narrower: an engine skips a file by it. Where no true
 * bound of the wanted length exists, there is none.
 */
import type { ColumnType } from '../tables.ts'

/**
 * int, double → number; long → bigint; timestamptz → bigint microseconds since 1970; string →
 * string; boolean → boolean.
 */
export type Bound = number | bigint | string | boolean

/** Code points of a string bound; the reference implementation's `truncate(16)`. */
export const BOUND_CODE_POINTS_MAX = 16

const CODE_POINT_MAX = 0x10ffff
const SURROGATE_FIRST = 0xd800
const SURROGATE_LAST = 0xdfff

export function encodeBound(type: ColumnType, value: Bound): Uint8Array {
  const bytes = Buffer.alloc(type === 'int' ? 4 : 8)
  switch (type) {
    case 'int':
      bytes.writeInt32LE(Number(value))
      return bytes
    case 'long':
    case 'timestamptz':
      bytes.writeBigInt64LE(BigInt(value))
      return bytes
    case 'double':
      bytes.writeDoubleLE(Number(value))
      return bytes
    case 'string':
      return Buffer.from(String(value), 'utf8')
    case 'boolean':
      return Buffer.of(value ? 1 : 0)
  }
}

/** Undefined where the bytes are not of this type: another engine's bound is then not used. */
export function decodeBound(type: ColumnType, bytes: Uint8Array): Bound | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (type) {
    case 'int':
      return buffer.length === 4 ? buffer.readInt32LE() : undefined
    case 'long':
    case 'timestamptz':
      return buffer.length === 8 ? buffer.readBigInt64LE() : undefined
    case 'double':
      return buffer.length === 8 ? buffer.readDoubleLE() : undefined
    case 'string':
      return buffer.toString('utf8')
    case 'boolean':
      return buffer.length === 1 ? buffer[0] !== 0 : undefined
  }
}

/** A prefix sorts before the whole: it is a lower bound of all that it is a lower bound of. */
export function truncateLower(text: string): string {
  return Array.from(text).slice(0, BOUND_CODE_POINTS_MAX).join('')
}

/**
 * The prefix with its last code point one higher (the one before it where that is the highest there
 * is), so that it sorts after every text with that prefix. Undefined where no code point can grow.
 */
export function truncateUpper(text: string): string | undefined {
  const points = Array.from(text)
  if (points.length <= BOUND_CODE_POINTS_MAX) return text
  for (let last = BOUND_CODE_POINTS_MAX - 1; last >= 0; last--) {
    const grown = nextCodePoint(points[last]!.codePointAt(0)!)
    if (grown !== undefined) return points.slice(0, last).join('') + String.fromCodePoint(grown)
  }
  return undefined
}

/**
 * −0 as a lower and +0 as an upper bound: engines differ in whether the zeros are equal. NaN is
 * neither bound of anything.
 */
export function doubleBound(value: number, side: 'lower' | 'upper'): number | undefined {
  if (Number.isNaN(value)) return undefined
  if (value !== 0) return value
  return side === 'lower' ? -0 : 0
}

/** Surrogates are no code points of UTF-8: the one after U+D7FF is U+E000. */
function nextCodePoint(point: number): number | undefined {
  if (point >= CODE_POINT_MAX) return undefined
  const next = point + 1
  return next >= SURROGATE_FIRST && next <= SURROGATE_LAST ? SURROGATE_LAST + 1 : next
}

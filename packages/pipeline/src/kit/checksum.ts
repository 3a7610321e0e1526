/**
 * CRC-32 (the polynomial of zlib and gzip), and its text: eight lower-case hex digits.
 *
 * zlib's is native (about 4 GB/s), and every language has it, so a reader of our files can be
 * written anywhere. It finds every single-bit flip and every burst up to 32 bits; it is no
 * signature.
 */
import { crc32 as zlibCrc32 } from 'node:zlib'

/** Continues from `seed`: `crc32(ab, 0)` equals `crc32(b, crc32(a, 0))`. */
export function crc32(bytes: Uint8Array, seed: number): number {
  return zlibCrc32(bytes, seed)
}

const DIGITS = Buffer.from('0123456789abcdef', 'latin1')

/** Writes eight digits at `at`, without making a string: this runs once for every record. */
export function writeHex8(target: Uint8Array, at: number, value: number): void {
  for (let place = 0; place < 8; place++) {
    target[at + place] = DIGITS[(value >>> (28 - 4 * place)) & 15]!
  }
}

/**
 * The number whose eight digits stand at `at`, or undefined. Upper case is refused: `a` and `A`
 * differ in one bit, and a flipped bit must not pass.
 */
export function readHex8(bytes: Uint8Array, at: number): number | undefined {
  if (at < 0 || at + 8 > bytes.length) return undefined
  let value = 0
  for (let place = at; place < at + 8; place++) {
    const byte = bytes[place]!
    const digit = byte >= 48 && byte <= 57 ? byte - 48 : byte >= 97 && byte <= 102 ? byte - 87 : -1
    if (digit < 0) return undefined
    value = value * 16 + digit
  }
  return value
}

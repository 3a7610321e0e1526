/**
 * By what a batch is known: 128 bits of hash (MurmurHash3 x86 128 of Austin Appleby, public domain,
 * over tenant, source and the id's UTF-16 units). At 10^9 batches two differ in the hash with a
 * probability of 1 − 10^-20. The seed is the log's identity, which nobody outside knows.
 */

/** Four 32-bit words. */
export interface BatchKey {
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number
}

const C1 = 0x239b961b
const C2 = 0xab0e9789
const C3 = 0x38b34ae5
const C4 = 0xa1e38b93

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}

function finish(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}

/**
 * The key of a batch; `seeds` are the four words of the log's identity. The first block is (tenant, source, length, 0), then eight UTF-16 units a block, zeros at the
 * end.
 */
export function batchKey(
  seeds: readonly number[],
  tenantNo: number,
  sourceNo: number,
  id: string,
): BatchKey {
  let a = seeds[0]!
  let b = seeds[1]!
  let c = seeds[2]!
  let d = seeds[3]!
  let k1 = tenantNo | 0
  let k2 = sourceNo | 0
  let k3 = id.length
  let k4 = 0
  for (let at = 0; ; at += 8) {
    a ^= Math.imul(rotate(Math.imul(k1, C1), 15), C2)
    a = (Math.imul((rotate(a, 19) + b) | 0, 5) + 0x561ccd1b) | 0
    b ^= Math.imul(rotate(Math.imul(k2, C2), 16), C3)
    b = (Math.imul((rotate(b, 17) + c) | 0, 5) + 0x0bcaa747) | 0
    c ^= Math.imul(rotate(Math.imul(k3, C3), 17), C4)
    c = (Math.imul((rotate(c, 15) + d) | 0, 5) + 0x96cd1c35) | 0
    d ^= Math.imul(rotate(Math.imul(k4, C4), 18), C1)
    d = (Math.imul((rotate(d, 13) + a) | 0, 5) + 0x32ac3b17) | 0
    if (at >= id.length) break
    // Past the end charCodeAt is NaN, which bit operations take as 0.
    k1 = id.charCodeAt(at) | (id.charCodeAt(at + 1) << 16)
    k2 = id.charCodeAt(at + 2) | (id.charCodeAt(at + 3) << 16)
    k3 = id.charCodeAt(at + 4) | (id.charCodeAt(at + 5) << 16)
    k4 = id.charCodeAt(at + 6) | (id.charCodeAt(at + 7) << 16)
  }
  a = (a + b + c + d) | 0
  b = finish((b + a) | 0)
  c = finish((c + a) | 0)
  d = finish((d + a) | 0)
  a = (finish(a) + b + c + d) | 0
  return {
    a: a >>> 0,
    b: (b + a) >>> 0,
    c: (c + a) >>> 0,
    d: (d + a) >>> 0 || 1,
  }
}

/**
 * Which batches the log holds, so that one sent again is not appended again.
 *
 * An open-addressing table in typed arrays: 20 bytes a batch where a Map of strings takes some 150.
 * A batch is known by 128 bits of hash (MurmurHash3 x86 128 of Austin Appleby, public domain, over
 * tenant, source and the id's UTF-16 units); at 10^9 batches two differ in the hash with a
 * probability of 1 − 10^-20. The seed is the log's identity, which nobody outside knows. The table
 * is split by the hash's top bits, so that a doubling moves one part in 64 and never holds a
 * request up for long. Entries are only added; the table is rebuilt at start from sidecars and the
 * open segment.
 */

/** Four 32-bit words. */
export interface BatchKey {
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number
}

export interface BatchCounts {
  readonly acceptedCount: number
  readonly rejectedCount: number
}

const PARTS = 64
const PART_SLOTS_MIN = 64
/** Linear probing stays short below this share of used slots. */
const LOAD_MAX = 0.7
const SLOT_WORDS = 5

interface Part {
  words: Uint32Array
  used: number
}

export class BatchMemory {
  readonly #seeds: readonly number[]
  readonly #parts: Part[]
  #size = 0

  /** `logId`: 32 hex digits. */
  constructor(logId: string) {
    this.#seeds = [0, 8, 16, 24].map((at) => Number.parseInt(logId.slice(at, at + 8), 16) | 0)
    this.#parts = Array.from({ length: PARTS }, () => {
      return { words: new Uint32Array(PART_SLOTS_MIN * SLOT_WORDS), used: 0 }
    })
  }

  get size(): number {
    return this.#size
  }

  key(tenantNo: number, sourceNo: number, batchId: string): BatchKey {
    return hash(this.#seeds, tenantNo, sourceNo, batchId)
  }

  get(key: BatchKey): BatchCounts | undefined {
    const { words } = this.#parts[key.a >>> 26]!
    const at = slotOf(words, key)
    if (words[at + 3] === 0) return undefined
    const counts = words[at + 4]!
    return { acceptedCount: counts >>> 16, rejectedCount: counts & 0xffff }
  }

  /** Counts of up to 65,535 each. A key that is there keeps its first counts. */
  add(key: BatchKey, acceptedCount: number, rejectedCount: number): void {
    const part = this.#parts[key.a >>> 26]!
    if ((part.used + 1) * SLOT_WORDS > part.words.length * LOAD_MAX) part.words = doubled(part)
    const { words } = part
    const at = slotOf(words, key)
    if (words[at + 3] !== 0) return
    words[at] = key.a
    words[at + 1] = key.b
    words[at + 2] = key.c
    words[at + 3] = key.d
    words[at + 4] = (acceptedCount << 16) | rejectedCount
    part.used++
    this.#size++
  }
}

/** Where the key stands, or the empty slot where it would: `d` is never 0 in a key. */
function slotOf(words: Uint32Array, key: BatchKey): number {
  const mask = words.length / SLOT_WORDS - 1
  for (let slot = key.b & mask; ; slot = (slot + 1) & mask) {
    const at = slot * SLOT_WORDS
    const d = words[at + 3]
    if (d === 0) return at
    if (d === key.d && words[at] === key.a && words[at + 1] === key.b && words[at + 2] === key.c) {
      return at
    }
  }
}

function doubled({ words }: Part): Uint32Array {
  const larger = new Uint32Array(words.length * 2)
  for (let at = 0; at < words.length; at += SLOT_WORDS) {
    if (words[at + 3] === 0) continue
    const key = { a: words[at]!, b: words[at + 1]!, c: words[at + 2]!, d: words[at + 3]! }
    larger.set(words.subarray(at, at + SLOT_WORDS), slotOf(larger, key))
  }
  return larger
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
 * The first block is (tenant, source, length, 0), then eight UTF-16 units a block, zeros at the
 * end.
 */
function hash(seeds: readonly number[], tenantNo: number, sourceNo: number, id: string): BatchKey {
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

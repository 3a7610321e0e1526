/**
 * Which batches the log holds, so that one sent again is not appended again.
 *
 * The newest batches, which are the ones that come again, stand in exact tables with their counts:
 * two of them, and at the first batch of a segment the older one is given up once the newer holds
 * `EXACT_BATCHES`. Of all batches, a sketch knows which segment might hold them; what it suspects
 * is looked up in that segment's sidecar (sealed-batches.ts). So a day of batches costs some six
 * bytes each, and the answer is still exact.
 */
import { type BatchKey, batchKey } from './batch-key.ts'
import { BatchSketch } from './batch-sketch.ts'

export interface BatchCounts {
  readonly acceptedCount: number
  readonly rejectedCount: number
}

/** 15 to 30 MiB for each of the two tables: at 200 batches/s, at least 43 minutes. */
const EXACT_BATCHES = 1 << 19
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
  readonly #exactBatches: number
  readonly #sketch = new BatchSketch()
  #newer = new BatchTable()
  #older = new BatchTable()
  #segment = -1
  #firstSegment = 0

  /** `logId`: 32 hex digits. */
  constructor(logId: string, exactBatches = EXACT_BATCHES) {
    this.#seeds = [0, 8, 16, 24].map((at) => Number.parseInt(logId.slice(at, at + 8), 16) | 0)
    this.#exactBatches = exactBatches
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    return this.#newer.bytes + this.#older.bytes + this.#sketch.bytes
  }

  key(tenantNo: number, sourceNo: number, batchId: string): BatchKey {
    return batchKey(this.#seeds, tenantNo, sourceNo, batchId)
  }

  /** Counts of one of the newest batches. */
  get(key: BatchKey): BatchCounts | undefined {
    return this.#newer.get(key) ?? this.#older.get(key)
  }

  /** Segments in which a batch that `get` does not know may be; each must be looked into. */
  suspects(key: BatchKey): readonly number[] {
    const segments = this.#sketch.suspects(key)
    return segments.length === 0 ? segments : segments.filter((each) => this.holds(each))
  }

  /** False for a segment that is gone. */
  holds(segment: number): boolean {
    return segment >= this.#firstSegment
  }

  /** Counts of up to 65,535 each; segments in ascending order. A batch must not be added twice. */
  add(key: BatchKey, counts: BatchCounts, segment: number): void {
    if (segment !== this.#segment) {
      this.#segment = segment
      if (this.#newer.size >= this.#exactBatches) {
        this.#older = this.#newer
        this.#newer = new BatchTable()
      }
    }
    this.#newer.add(key, counts)
    this.#sketch.add(key, segment)
  }

  /** Of a batch that is not among the newest, as at start. */
  addOld(key: BatchKey, segment: number): void {
    this.#sketch.add(key, segment)
  }

  /** How many of the log's last batches are worth `add` at start. */
  get exactBatches(): number {
    return this.#exactBatches
  }

  /** Segments before this one are gone, and with them what is known of their batches. */
  forgetBelow(segment: number): void {
    this.#firstSegment = segment
    this.#sketch.forgetBelow(segment)
  }
}

/**
 * An open-addressing table in typed arrays: 20 bytes a slot where a Map of strings takes some 150.
 * Split by the hash's top bits, so that a doubling moves one part in 64 and never holds a request
 * up for long. Entries are only added.
 */
class BatchTable {
  readonly #parts: Part[] = Array.from({ length: PARTS }, () => {
    return { words: new Uint32Array(PART_SLOTS_MIN * SLOT_WORDS), used: 0 }
  })
  size = 0

  get bytes(): number {
    return this.#parts.reduce((sum, { words }) => sum + words.byteLength, 0)
  }

  get(key: BatchKey): BatchCounts | undefined {
    const { words } = this.#parts[key.a >>> 26]!
    const at = slotOf(words, key)
    if (words[at + 3] === 0) return undefined
    const counts = words[at + 4]!
    return { acceptedCount: counts >>> 16, rejectedCount: counts & 0xffff }
  }

  add(key: BatchKey, { acceptedCount, rejectedCount }: BatchCounts): void {
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
    this.size++
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

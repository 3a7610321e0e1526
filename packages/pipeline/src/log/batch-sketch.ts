/**
 * Which segment might hold a batch: the coarse half of the batch memory.
 *
 * A slot is 32 bits: 20 of the batch's hash and 12 that say which segment. Slots are used up to three
 * quarters, so a batch costs 5.3 bytes, and a hit names the one file to look into. (A Bloom filter
 * for each segment takes half of that, but every question would have to be put to every one of
 * thousands of them.) A table is twice as large as the one before, up to a bound. It is never
 * rehashed and nothing is taken out of it: when it is full the next is begun, and the oldest goes
 * when all its segments have gone.
 *
 * What was added is always found. What was not is suspected in up to 8 of a million cases for each
 * table: 8.5 slots are looked at in a full one, 2^-20 each.
 */
import type { BatchKey } from './batch-key.ts'

/** 1 MiB: a small deployment has this one table, a large one few that are small. */
const SLOTS_MIN = 1 << 18
/** 16 MiB: three million batches, so that a day of 200 batches/s is six tables. */
const SLOTS_MAX = 1 << 22
const LOAD_MAX = 0.75
const PLACE_BITS = 12
/** Place 0 is the mark of an empty slot. */
const PLACE_MAX = (1 << PLACE_BITS) - 1

interface Table {
  readonly slots: Uint32Array
  readonly firstSegment: number
  lastSegment: number
  used: number
}

export class BatchSketch {
  /** Oldest first; only the last one is added to. */
  #tables: Table[] = []
  readonly #slotsMin: number

  constructor(slotsMin = SLOTS_MIN) {
    this.#slotsMin = slotsMin
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    return this.#tables.reduce((sum, { slots }) => sum + slots.byteLength, 0)
  }

  /** Segments come in ascending order. A batch must not be added twice. */
  add(key: BatchKey, segment: number): void {
    const table = this.#tableFor(segment)
    const { slots } = table
    const mask = slots.length - 1
    let slot = key.b & mask
    while (slots[slot] !== 0) slot = (slot + 1) & mask
    slots[slot] = markOf(key) | (segment - table.firstSegment + 1)
    table.lastSegment = segment
    table.used++
  }

  /** Segments that may hold the batch, newest first; nearly always none. */
  suspects(key: BatchKey): readonly number[] {
    let found: number[] | undefined
    const mark = markOf(key)
    for (let place = this.#tables.length - 1; place >= 0; place--) {
      const { slots, firstSegment } = this.#tables[place]!
      const mask = slots.length - 1
      for (let slot = key.b & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
        const value = slots[slot]!
        if ((value & ~PLACE_MAX) !== mark) continue
        found ??= []
        found.push(firstSegment + (value & PLACE_MAX) - 1)
      }
    }
    return found ?? NONE
  }

  /** Segments before this one are gone: what is remembered of them may be, too. */
  forgetBelow(segment: number): void {
    this.#tables = this.#tables.filter(({ lastSegment }) => lastSegment >= segment)
  }

  #tableFor(segment: number): Table {
    const last = this.#tables.at(-1)
    const fits =
      last !== undefined &&
      last.used < last.slots.length * LOAD_MAX &&
      segment - last.firstSegment < PLACE_MAX
    if (fits) return last
    const slotCount =
      last === undefined ? this.#slotsMin : Math.min(2 * last.slots.length, SLOTS_MAX)
    const slots = new Uint32Array(slotCount)
    const table = { slots, firstSegment: segment, lastSegment: segment, used: 0 }
    this.#tables.push(table)
    return table
  }
}

const NONE: readonly number[] = []

function markOf(key: BatchKey): number {
  return key.c & ~PLACE_MAX
}

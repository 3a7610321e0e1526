/**
 * A few known names, found by their bytes without making a string.
 *
 * Each name is hashed by its length, middle and last byte; the constructor looks for two factors that
 * give every name a slot of its own, so that a look-up is one slot and one comparison. Names are
 * ASCII and few (at most `SLOTS`); a set that fits no factors is a mistake of the program and throws.
 */

import { type Scan, scanKey, skipBlanks, unescaped } from './scan-json.ts'

const SLOTS = 256
const EMPTY = -1

export class KeyTable {
  readonly #encoded: readonly Uint8Array[]
  readonly #byName: ReadonlyMap<string, number>
  readonly #quoted: readonly Uint8Array[]
  readonly #after: Int8Array
  readonly #slots: Int8Array
  readonly #middle: number
  readonly #last: number

  constructor(names: readonly string[]) {
    this.#encoded = names.map((name) => new TextEncoder().encode(name))
    this.#byName = new Map(names.map((name, index) => [name, index]))
    this.#quoted = names.map((name) => new TextEncoder().encode(`"${name}":`))
    this.#after = new Int8Array(names.length + 1).fill(EMPTY)
    for (let middle = 1; middle < SLOTS; middle++) {
      for (let last = 1; last < SLOTS; last++) {
        const slots = place(this.#encoded, middle, last)
        if (slots === undefined) continue
        this.#slots = slots
        this.#middle = middle
        this.#last = last
        return
      }
    }
    throw new Error(`no slot of its own for each of ${names.join(', ')}`)
  }

  /** Index of the name whose bytes stand in [start, end), or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start
    if (length === 0) return EMPTY
    const hash =
      length + bytes[start + (length >> 1)]! * this.#middle + bytes[end - 1]! * this.#last
    const index = this.#slots[hash & (SLOTS - 1)]!
    if (index === EMPTY) return EMPTY
    const name = this.#encoded[index]!
    if (name.length !== length) return EMPTY
    for (let j = 0; j < length; j++) if (name[j] !== bytes[start + j]) return EMPTY
    return index
  }

  /**
   * Index of the key that stands at `from`, quotes and colon included, if it is the one that came
   * after `before` last time; else -1. A sender writes its members in one order, so most keys are
   * found by this one comparison and never scanned.
   */
  guess(bytes: Uint8Array, from: number, before: number): number {
    const index = this.#after[before + 1]!
    if (index === EMPTY) return EMPTY
    const quoted = this.#quoted[index]!
    for (let j = 0; j < quoted.length; j++) if (quoted[j] !== bytes[from + j]) return EMPTY
    return index
  }

  /** Remembers that `index` came after `before` (-1: came first). */
  learn(before: number, index: number): void {
    this.#after[before + 1] = index
  }

  /** Bytes of a key with its quotes and colon. */
  quotedLength(index: number): number {
    return this.#quoted[index]!.length
  }

  /** The same for a name that had to be unescaped first. */
  findName(name: string): number {
    return this.#byName.get(name) ?? EMPTY
  }
}

/**
 * A key with its colon and blanks: gives the start of its value, `Scan.known` its index in the table.
 * `before` is the index of the key before it.
 */
export function scanKnownKey(scan: Scan, table: KeyTable, from: number, before: number): number {
  scan.known = table.guess(scan.bytes, from, before)
  if (scan.known >= 0) return skipBlanks(scan.bytes, from + table.quotedLength(scan.known))
  const value = scanKey(scan, from)
  scan.known = findKey(scan, table)
  if (scan.known >= 0) table.learn(before, scan.known)
  return value
}

/** Index of the key scanned last, whether its name is written plainly or with escapes. */
export function findKey(scan: Scan, table: KeyTable): number {
  if (!scan.keyEscaped) return table.find(scan.bytes, scan.keyStart, scan.keyEnd)
  return table.findName(unescaped(scan.bytes, scan.keyStart, scan.keyEnd))
}

function place(names: readonly Uint8Array[], middle: number, last: number): Int8Array | undefined {
  const slots = new Int8Array(SLOTS).fill(EMPTY)
  for (const [index, name] of names.entries()) {
    const slot =
      (name.length + name[name.length >> 1]! * middle + name.at(-1)! * last) & (SLOTS - 1)
    if (slots[slot] !== EMPTY) return undefined
    slots[slot] = index
  }
  return slots
}

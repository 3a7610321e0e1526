/**
 * Repeatable randomness: one 32-bit seed, one history. Mulberry32 of Tommy Ettinger (public domain);
 * its statistics are far better than a simulation needs.
 */
import type { Random } from '../../packages/pipeline/src/kit/clock.ts'

export class Dice implements Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  #word(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** 0 to `count` − 1. */
  below(count: number): number {
    return this.#word() % count
  }

  /** True once in `count` throws. */
  oneIn(count: number): boolean {
    return this.below(count) === 0
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.#word() & 0xff)
  }
}

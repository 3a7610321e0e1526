/**
 * Time and randomness as arguments: the core never reads the machine's own.
 *
 * A test passes a clock it can move and a source of randomness it can repeat. Only this file touches
 * `Date.now` and `crypto` (the repository's shape test holds that).
 */
import { randomBytes } from 'node:crypto'

export interface Clock {
  /** Wall clock, epoch milliseconds. May jump; never used to order records. */
  now(): number
}

export interface Random {
  /** `count` unpredictable bytes. */
  bytes(count: number): Uint8Array
}

export const systemClock: Clock = { now: () => Date.now() }
export const systemRandom: Random = { bytes: (count) => randomBytes(count) }

/** Lower-case hex of `count` random bytes: ids and secrets. */
export function randomHex(random: Random, count: number): string {
  return Buffer.from(random.bytes(count)).toString('hex')
}

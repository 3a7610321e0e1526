/**
 * Randomness that repeats: the same seed makes the same visits on every machine.
 *
 * Mulberry32 (Tommy Ettinger, public domain): 32 bits of state suffice for made-up data, and four lines
 * can be read. Never for secrets.
 */
export interface Seeded {
  /** Uniform in [0, 1). */
  next(): number
  /** Uniform integer in [low, high]. */
  between(low: number, high: number): number
  /** Standard normal (Box and Muller 1958). */
  normal(): number
  /** True with this probability. */
  chance(probability: number): boolean
  /** One of the choices, each as likely as its weight says. */
  pick<T>(choices: readonly (readonly [T, number])[]): T
}

export function seeded(seed: number): Seeded {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  return {
    next,
    between: (low, high) => low + Math.floor(next() * (high - low + 1)),
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
    chance: (probability) => next() < probability,
    pick: (choices) => {
      let left = next() * choices.reduce((sum, [, weight]) => sum + weight, 0)
      for (const [choice, weight] of choices) {
        left -= weight
        if (left < 0) return choice
      }
      return (choices.at(-1) as (typeof choices)[number])[0]
    },
  }
}

/**
 * The median of the last few values: what people mean by "how long does it take just now".
 *
 * A ring of fixed size; adding is one store, the sort happens only when somebody asks.
 */
const VALUES_KEPT = 255

export class RecentMedian {
  readonly #values = new Float64Array(VALUES_KEPT)
  #count = 0

  add(value: number): void {
    this.#values[this.#count++ % VALUES_KEPT] = value
  }

  /** Null before the first value. */
  get(): number | null {
    const held = Math.min(this.#count, VALUES_KEPT)
    if (held === 0) return null
    return this.#values.slice(0, held).sort()[held >> 1] as number
  }
}

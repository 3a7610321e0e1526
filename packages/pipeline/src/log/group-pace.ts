/**
 * When a busy log begins its next group.
 *
 * A disk that syncs in half a millisecond would get a group of two or three batches each time, and four
 * threads are woken for each: under a steady load a third of the server's CPU. So a group waits until
 * `groupMs` after the beginning of the one before it, or until all who can be expected are there.
 * For senders who wait for their answers before they send again all come back at once, and to wait for
 * more would only slow them. How many those are is found out: every so often a group waits the
 * whole time, and is counted.
 */

/** A group of fewer batches is followed by the next as soon as the disk is free. */
const BUSY_BATCHES = 8
/** Of busy groups, every so many-th is counted. */
const COUNT_EVERY = 32

export class GroupPace {
  readonly #groupMs: number
  #beganMs = Number.NEGATIVE_INFINITY
  #isBusy = false
  #busyGroups = 0
  /** How many batches come within `groupMs`, when it was last counted. */
  #expected = 0
  #isCounting = false
  #endWait: (() => void) | undefined

  /** `groupMs` 0: never waits. */
  constructor(groupMs: number) {
    this.#groupMs = groupMs
  }

  /** A group of so many batches begins to be written. */
  begins(batches: number, nowMs: number): void {
    if (this.#isCounting) this.#expected = batches
    this.#beganMs = nowMs
    this.#isBusy = batches >= BUSY_BATCHES
    this.#isCounting = this.#isBusy && ++this.#busyGroups % COUNT_EVERY === 0
  }

  /** How long the next group may yet wait; 0: not at all. */
  waitMs(batches: number, nowMs: number): number {
    if (!this.#isBusy || this.isEnough(batches)) return 0
    return Math.max(0, this.#beganMs + this.#groupMs - nowMs)
  }

  /** Whether a group of so many batches waits for no more. */
  isEnough(batches: number): boolean {
    return !this.#isCounting && batches >= this.#expected
  }

  /** Resolves after so long, or as soon as `came` says that enough are there. */
  gather(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        this.#endWait = undefined
        resolve()
      }
      const timer = setTimeout(end, ms)
      this.#endWait = end
    })
  }

  /** One more batch has come; so many have gathered. */
  came(batches: number): void {
    if (this.#endWait !== undefined && this.isEnough(batches)) this.#endWait()
  }
}

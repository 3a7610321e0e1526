/**
 * Sheds load when one thread cannot do all that comes, as CoDel does for a queue of packets (RFC 8289).
 *
 * What waits for this process waits in the sockets, where nobody can count it; but in one turn of the
 * event loop every socket that has something is served, so the length of a turn is how long requests
 * wait. A burst makes some long turns and is taken. Only when every turn has been longer than TURN_MS
 * for STANDING_MS, and the loop never had to wait for work between them, is there more than can be done:
 * from then on each turn takes batches for TURN_MS and refuses the rest of it by its heads, which costs
 * less, until a turn is short or the loop is idle again.
 */

/** Refusals wait no longer than this and their own making; at 60 µs a batch it is 500 of them. */
export const TURN_MS = 30
/** Longer than a page load's burst or a garbage collection, shorter than anyone's patience. */
export const STANDING_MS = 500

/** The loop waited for work for so long since the last turn: nothing stood in a queue. */
const IDLE_MS = 1

export interface LoopTimes {
  /** Monotone. */
  readonly elapsed: () => number
  /** How long the loop has waited for work, since it began. */
  readonly idleMs: () => number
}

export class TurnBudget {
  readonly #times: LoopTimes
  /** Runs its argument when the turn is over. */
  readonly #atEnd: (ended: () => void) => void
  #isInTurn = false
  #startedMs = 0
  /** Every turn since then was a long one, and followed on the one before. */
  #longSinceMs: number | undefined
  #idleBeforeMs = 0
  #isShedding = false
  readonly #onEnd = () => this.#ended()

  constructor(times: LoopTimes, atEnd: (ended: () => void) => void) {
    this.#times = times
    this.#atEnd = atEnd
  }

  /** Asked once for each request: false when it is beyond what this turn takes. */
  takes(): boolean {
    if (!this.#isInTurn) {
      this.#isInTurn = true
      this.#startedMs = this.#times.elapsed()
      this.#atEnd(this.#onEnd)
    }
    return !this.#isShedding || this.#times.elapsed() - this.#startedMs < TURN_MS
  }

  #ended(): void {
    this.#isInTurn = false
    const nowMs = this.#times.elapsed()
    const idleMs = this.#times.idleMs()
    const wasIdle = idleMs - this.#idleBeforeMs > IDLE_MS
    this.#idleBeforeMs = idleMs
    if (wasIdle || nowMs - this.#startedMs < TURN_MS) {
      this.#longSinceMs = undefined
      this.#isShedding = false
      return
    }
    this.#longSinceMs ??= this.#startedMs
    this.#isShedding = nowMs - this.#longSinceMs > STANDING_MS
  }
}

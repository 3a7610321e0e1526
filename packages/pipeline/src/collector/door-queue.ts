/**
 * Requests in the order in which they came, no more in one turn of the event loop than TURN_MS or
 * TURN_REQUESTS of them.
 *
 * Without it every socket that has something is served in one turn. With thousands of them all else
 * waits as long, and a batch costs twice its CPU, since so much is under way that no cache holds it. So
 * a request that comes when a turn has had its share waits here and begins in one of the next turns: as
 * the bytes that were read, or unread, as a connection that will be read when its turn comes.
 *
 * While the log has as much as it should hold none begins: what stalls a disk for half a second must not
 * be refused for it, and what is not begun costs nothing.
 *
 * When the last of them would wait for more than WAIT_MS_MAX, more comes than can be done: newcomers are
 * refused, at once, until it is less. Who was let in is served. A sender that is refused is away for seconds
 * with all it would have sent, so few are refused for long.
 *
 * Bound: what is served within WAIT_MS_MAX, and one request a connection.
 */

/** Everything else in the process waits so long at most, and as long again for what was begun. */
export const TURN_MS = 10
/** Ordinary batches take less than TURN_MS, and the answers to them do too. */
export const TURN_REQUESTS = 128
/** A page load's burst is served within it, and nobody's patience is shorter. */
export const WAIT_MS_MAX = 500
/** How soon it is looked at whether the log has room again. */
const BLOCKED_MS = 2
/** A turn's pace counts so much, those before it the rest. */
const NEWEST_SHARE = 0.1
/** Places of served requests that are kept before the list is copied. */
const SERVED_MAX = 4_096

export interface Waiting {
  /** Of one that has not been read: its connection is read from now on. */
  begin(): void
}

export interface QueueParts {
  /** Monotone milliseconds. */
  readonly elapsed: () => number
  /** Runs its argument when the turn is over. */
  readonly atEnd: (serve: () => void) => void
  readonly later: (serve: () => void, ms: number) => void
  /** What has begun must first go on. */
  readonly isBlocked: () => boolean
}

export class DoorQueue {
  readonly #parts: QueueParts
  #waiting: Waiting[] = []
  /** Those before it have begun. */
  #first = 0
  #isInTurn = false
  #startedMs = 0
  /** In this turn. */
  #begun = 0
  /** Time that passes for each that begins while others wait, all else that is done included. */
  #paceMs = 0
  /** When the last turn that left some waiting had had its share; 0: none waited. */
  #servedMs = 0
  readonly #onEnd = () => this.#serve()

  constructor(parts: QueueParts) {
    this.#parts = parts
  }

  /**
   * Begins the request now if the turn has time for it and none waits, else in its order. `hasWaited`:
   * its turn came while it was unread; it passes those who wait.
   */
  enter(request: Waiting, hasWaited: boolean): void {
    const nowMs = this.#parts.elapsed()
    this.#beginTurn(nowMs)
    const isFirst = hasWaited || (!this.isCrowded() && this.#begun < TURN_REQUESTS)
    if (!isFirst || nowMs - this.#startedMs >= TURN_MS || this.#parts.isBlocked()) {
      this.#waiting.push(request)
      return
    }
    if (!hasWaited) this.#begun++
    request.begin()
  }

  /** Some wait. */
  isCrowded(): boolean {
    return this.#first < this.#waiting.length
  }

  /** Newcomers are to be refused. */
  isFull(): boolean {
    return (this.#waiting.length - this.#first) * this.#paceMs > WAIT_MS_MAX
  }

  #beginTurn(nowMs: number): void {
    if (this.#isInTurn) return
    this.#isInTurn = true
    this.#startedMs = nowMs
    this.#begun = 0
    this.#parts.atEnd(this.#onEnd)
  }

  #serve(): void {
    const { elapsed, later, isBlocked } = this.#parts
    if (this.isCrowded() && isBlocked()) {
      later(this.#onEnd, BLOCKED_MS)
      return
    }
    const startedMs = elapsed()
    const before = this.#first
    const last = Math.min(this.#waiting.length, before + TURN_REQUESTS)
    while (this.#first < last && elapsed() - startedMs < TURN_MS) {
      this.#waiting[this.#first++]!.begin()
    }
    this.#isInTurn = false
    const begun = this.#first - before
    if (this.#first === this.#waiting.length || this.#first >= SERVED_MAX) {
      this.#waiting = this.#waiting.slice(this.#first)
      this.#first = 0
    }
    if (this.#waiting.length === 0) {
      this.#servedMs = 0
      return
    }
    const nowMs = elapsed()
    if (begun > 0) this.#paced((nowMs - (this.#servedMs || startedMs)) / begun)
    this.#servedMs = nowMs
    this.#beginTurn(nowMs)
  }

  #paced(ms: number): void {
    this.#paceMs = this.#paceMs === 0 ? ms : this.#paceMs + NEWEST_SHARE * (ms - this.#paceMs)
  }
}

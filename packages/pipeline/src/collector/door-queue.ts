/**
 * Requests in the order in which they came, no more in one turn of the event loop than TURN_MS of them.
 *
 * Without it every socket that has something is served in one turn. With thousands of them all else
 * waits as long, and a batch costs twice its CPU, since so much is under way that no cache holds it. So
 * a request that comes when a turn has had its share waits here, as the bytes that were read, and
 * begins in one of the next turns.
 *
 * When the last of them would wait for more than WAIT_MS_MAX, more comes than can be done: newcomers are
 * refused, at once, until it is less. Who was let in is served. A sender that is refused is away for seconds
 * with all it would have sent, so few are refused for long.
 *
 * Bound: what is served within WAIT_MS_MAX, and one request a connection.
 */

/** Everything else in the process waits so long at most; at 60 µs a batch it is 300 of them. */
export const TURN_MS = 20
/** A page load's burst is served within it, and nobody's patience is shorter. */
export const WAIT_MS_MAX = 500
/** A turn's pace counts so much, those before it the rest. */
const NEWEST_SHARE = 0.1
/** Places of served requests that are kept before the list is copied. */
const SERVED_MAX = 4_096

export interface Waiting {
  begin(): void
}

export class DoorQueue {
  readonly #elapsed: () => number
  /** Runs its argument when the turn is over. */
  readonly #atEnd: (serve: () => void) => void
  #waiting: Waiting[] = []
  /** Those before it have begun. */
  #first = 0
  #isInTurn = false
  #startedMs = 0
  /** Time that passes for each that begins while others wait, all else that is done included. */
  #paceMs = 0
  /** When the last turn that left some waiting had had its share; 0: none waited. */
  #servedMs = 0
  readonly #onEnd = () => this.#serve()

  /** `elapsed`: monotone milliseconds. */
  constructor(elapsed: () => number, atEnd: (serve: () => void) => void) {
    this.#elapsed = elapsed
    this.#atEnd = atEnd
  }

  /** Begins the request now if the turn has time for it and none waits, else in its order. */
  enter(request: Waiting): void {
    const nowMs = this.#elapsed()
    this.#beginTurn(nowMs)
    if (this.#first === this.#waiting.length && nowMs - this.#startedMs < TURN_MS) request.begin()
    else this.#waiting.push(request)
  }

  /** Newcomers are to be refused. */
  isFull(): boolean {
    return (this.#waiting.length - this.#first) * this.#paceMs > WAIT_MS_MAX
  }

  #beginTurn(nowMs: number): void {
    if (this.#isInTurn) return
    this.#isInTurn = true
    this.#startedMs = nowMs
    this.#atEnd(this.#onEnd)
  }

  #serve(): void {
    const startedMs = this.#elapsed()
    const before = this.#first
    while (this.#first < this.#waiting.length && this.#elapsed() - startedMs < TURN_MS) {
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
    const nowMs = this.#elapsed()
    if (begun > 0) this.#paced((nowMs - (this.#servedMs || startedMs)) / begun)
    this.#servedMs = nowMs
    this.#beginTurn(nowMs)
  }

  #paced(ms: number): void {
    this.#paceMs = this.#paceMs === 0 ? ms : this.#paceMs + NEWEST_SHARE * (ms - this.#paceMs)
  }
}

/**
 * How often the demo's supervisor starts a server again that has ended by itself.
 *
 * The page has a button that kills it, so twenty times a minute is a person who plays. A server that
 * says its disk has failed is another matter: a disk that fails again and again wants a person, not
 * a loop that reads it at every start.
 */
import { ERRORS } from '../../kit/errors.ts'

const RESTARTS_PER_MINUTE_MAX = 20
const DISK_RESTARTS_MAX = 3
const DISK_WINDOW_MS = 600_000

export class Restarts {
  #endedMs: number[] = []
  #diskFailedMs: number[] = []

  /** Notes an end; undefined: start again, else why it stays down. */
  refusal(code: number | null, nowMs: number): string | undefined {
    this.#endedMs = [...this.#endedMs.filter((at) => nowMs - at < 60_000), nowMs]
    if (this.#endedMs.length > RESTARTS_PER_MINUTE_MAX) {
      return 'the server ends again and again; it stays down'
    }
    if (code !== ERRORS.disk_failed.exitCode) return undefined
    this.#diskFailedMs = this.#diskFailedMs.filter((at) => nowMs - at < DISK_WINDOW_MS)
    this.#diskFailedMs.push(nowMs)
    if (this.#diskFailedMs.length <= DISK_RESTARTS_MAX) return undefined
    const minutes = DISK_WINDOW_MS / 60_000
    return `the disk failed ${this.#diskFailedMs.length} times within ${minutes} minutes; it stays down`
  }
}

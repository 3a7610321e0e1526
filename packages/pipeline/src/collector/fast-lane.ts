/**
 * The short way for ordinary batches: straight from the socket to `acceptBatch`.
 *
 * Half of what a small batch costs on `node:http` is HTTP itself. A connection begins here; as long as
 * each request's head comes in one piece and is of the one shape that plain-head.ts recognises, its
 * requests are read and answered here (lane-connection.ts), one at a time. The first that is not goes to
 * `node:http` with the connection, unread, for good. What is answered here is answered as ingest-route.ts
 * would; a differential test over sockets holds that.
 */
import type { Socket } from 'node:net'
import { type Lane, LaneConnection } from './lane-connection.ts'

const CHECK_EVERY_MS = 1_000

/** Every connection of a server that has not been given to `node:http`. */
export class FastLane {
  readonly #lane: Lane
  readonly #connections = new Set<LaneConnection>()
  readonly #timer: NodeJS.Timeout

  constructor(lane: Lane) {
    this.#lane = lane
    this.#timer = setInterval(() => this.#closeLate(), CHECK_EVERY_MS).unref()
  }

  take(socket: Socket): void {
    const connection = new LaneConnection(this.#lane, socket, () => {
      this.#connections.delete(connection)
    })
    this.#connections.add(connection)
  }

  /** Closes what is idle; what is under way is answered first. */
  close(): void {
    for (const connection of this.#connections) connection.finish()
  }

  /** Closes everything now. */
  destroy(): void {
    clearInterval(this.#timer)
    for (const connection of this.#connections) connection.destroy()
  }

  #closeLate(): void {
    const now = this.#lane.elapsed()
    for (const connection of this.#connections) connection.closeIfLate(now)
  }
}

/**
 * What stands before the door when too much comes: the queue of requests, the log's deadline, quotas,
 * bytes being received.
 *
 * All of it is asked as early as it is known, so that a refusal costs as little as it can: by the
 * request's head where the write key stands there, after the body where it does not.
 */
import { type Problem, problem } from '@millrace/protocol'
import type { Sender } from './admit.ts'
import type { DoorQueue, Waiting } from './door-queue.ts'
import type { Quota, Spender } from './quota.ts'
import { type Throttled, throttled } from './quota-answer.ts'

/**
 * Bodies that are being received, all together: a quarter of the memory that the process should keep
 * within, and room for 256 of the largest.
 */
export const RECEIVING_BYTES_MAX = 256 * 1_048_576

export interface LoadParts {
  readonly quota: Quota
  /** The log takes nothing now. */
  readonly overdue: () => boolean
  readonly elapsed: () => number
  readonly queue: Pick<DoorQueue, 'enter' | 'isFull' | 'isCrowded'>
}

export class LoadGate {
  readonly #parts: LoadParts
  readonly #waited = new WeakSet<object>()
  #receivingBytes = 0

  constructor(parts: LoadParts) {
    this.#parts = parts
  }

  /** Lets a request begin, now or in its order; or says why it does not. `hasWaited`: see DoorQueue. */
  enter(request: Waiting, hasWaited: boolean): Problem | undefined {
    if (!hasWaited && this.#parts.queue.isFull()) {
      return problem('unavailable', 'more comes than one process can take')
    }
    this.#parts.queue.enter(request, hasWaited)
    return undefined
  }

  /**
   * Queues for a request that has not been read, where others wait. False: it may be read; it begins, or
   * is refused, when it comes.
   */
  enterUnread(request: Waiting): boolean {
    const { queue } = this.#parts
    if (!queue.isCrowded() || queue.isFull()) return false
    queue.enter(request, false)
    return true
  }

  /** A connection that is handed on with a request whose turn it is. */
  handedOn(connection: object): void {
    this.#waited.add(connection)
  }

  /** It was handed on so: true once. */
  hasWaited(connection: object): boolean {
    return this.#waited.delete(connection)
  }

  /** Why nobody's batch can be taken now. */
  busy(): Problem | undefined {
    if (!this.#parts.overdue()) return undefined
    return problem('unavailable', 'batches wait for the disk for too long')
  }

  /** Charges a request, or says why it must wait. */
  take(sender: Sender, bytes: number): Throttled | undefined {
    const exceeded = this.#parts.quota.take(spenderOf(sender), bytes, this.#parts.elapsed())
    return exceeded && throttled(exceeded)
  }

  /** For what was let in by a length that turned out to be another. */
  correct(sender: Sender, bytes: number): void {
    if (bytes > 0) this.#parts.quota.charge(spenderOf(sender), bytes, this.#parts.elapsed())
  }

  /** Room for a body that is yet to come; what is reserved must be released. */
  reserve(bytes: number): Problem | undefined {
    if (this.#receivingBytes + bytes > RECEIVING_BYTES_MAX) {
      return problem('unavailable', `${this.#receivingBytes} bytes are being received`)
    }
    this.#receivingBytes += bytes
    return undefined
  }

  release(bytes: number): void {
    this.#receivingBytes -= bytes
  }
}

/** A server credential is its tenant's own doing: an import is not held to a page's rate. */
function spenderOf({ source, tenantNo, server }: Sender): Spender {
  return { sourceNo: server ? undefined : source.sourceNo, tenantNo }
}

/**
 * Whoever sends, and the account that is kept of it, outside of everything that is tested.
 *
 * Producers make their batch ids themselves (producer and sequence), so that nothing of the server's is
 * believed; a batch is a function of the two numbers. The account is a file of lines, one before each
 * batch is sent and one after its 202; check-lake.py reads it and says what it means.
 */
import { closeSync, openSync, writeSync } from 'node:fs'

/** One event and many; what shares a group commit is then of all sizes. */
const SIZES = [1, 25, 2, 50, 10, 1, 120, 5]
/** Every so many batches one has an `identify`, a refused event in front: rows of the other tables. */
const IDENTIFY_EVERY = 7
const REFUSED_EVERY = 11
/** Makes an event some 400 bytes. */
const TARGET = `main > ${'div > '.repeat(40)}button`
/** The producer whose batches only push what waits over the size at which it is delivered. */
export const FILLER = 0
export const FILLER_EVENTS = 500

/**
 * @typedef {object} Batch
 * @property {string} id
 * @property {number} producer
 * @property {number} sequence
 * @property {number} first Index of the first accepted event.
 * @property {number} count Accepted events.
 * @property {number} identities
 * @property {number} refused
 */

/**
 * @param {number} producer
 * @param {number} sequence
 * @param {number} [events] Instead of a mixed size.
 * @returns {Batch}
 */
export function batchOf(producer, sequence, events) {
  const count = events ?? SIZES[(producer + sequence) % SIZES.length]
  const identities = (producer + sequence) % IDENTIFY_EVERY === 0 ? 1 : 0
  const refused = (producer + sequence) % REFUSED_EVERY === 0 ? 1 : 0
  return {
    id: `p${producer}-${sequence}`,
    producer,
    sequence,
    first: refused,
    count,
    identities,
    refused,
  }
}

/**
 * The body to send. What a sender measures of itself may differ from one sending to the next.
 * @param {Batch} batch
 */
export function bodyOf({ id, producer, sequence, first, count, identities, refused }) {
  const at = (index) => ({
    eventType: index === first + count - 1 && identities > 0 ? 'identify' : 'pointermove',
    timestamp: Date.now(),
    path: '/',
    target: TARGET,
    data: { pointerId: producer, clientX: sequence, clientY: index, producer, sequence, index },
    seq: index,
  })
  const events = Array.from({ length: refused + count }, (_, index) => at(index))
  if (refused > 0) events[0].timestamp = 'not a time'
  return JSON.stringify({ batchId: id, sentAt: Date.now(), visitorId: `v${producer}`, events })
}

export class Account {
  /** @type {Map<string, Batch>} */
  sent = new Map()
  /** @type {Set<string>} */
  acknowledged = new Set()
  /** @type {Map<string, number>} Positions. */
  acknowledgedAt = new Map()
  acknowledgedEvents = 0
  #file
  #position

  /**
   * @param {string} path
   * @param {() => number} [position] Where the disk's recorder stands; 0 where there is none.
   */
  constructor(path, position = () => 0) {
    this.path = path
    this.#file = openSync(path, 'a')
    this.#position = position
  }

  /** @param {Batch} batch Before it is sent for the first time. */
  send(batch) {
    if (this.sent.has(batch.id)) return
    this.sent.set(batch.id, batch)
    const { id, ...rest } = batch
    writeSync(this.#file, `${JSON.stringify({ sent: id, ...rest })}\n`)
  }

  /** @param {Batch} batch */
  acknowledge(batch) {
    if (this.acknowledged.has(batch.id)) return
    this.acknowledged.add(batch.id)
    this.acknowledgedEvents += batch.count
    const at = this.#position()
    this.acknowledgedAt.set(batch.id, at)
    writeSync(this.#file, `${JSON.stringify({ acknowledged: batch.id, at })}\n`)
  }

  close() {
    closeSync(this.#file)
  }
}

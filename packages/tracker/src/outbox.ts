/**
 * Events that wait to be sent, in order, and the batches made of them. Memory only, bounded.
 *
 * Events are kept as the JSON text they travel as, so that leaving a page costs a join and no more.
 * `head` is the text of the envelope's ids; a batch never mixes two heads, so all events of a batch
 * are of one page. A batch keeps its id and its events for life: sent again it is the same batch,
 * and the server keeps it once. Above the bound the oldest goes first, and is counted.
 */
import { BATCH_EVENTS_MAX, EVENT_BYTES_MAX, QUEUE_BYTES_MAX } from './limits.ts'

export interface Waiting {
  readonly head: string
  readonly json: string
  readonly bytes: number
}

export interface Batch {
  readonly batchId: string
  readonly head: string
  /** The events, separated by commas. */
  readonly events: string
  readonly eventCount: number
  /** Bytes of the body that `bodyOf` makes, at most. */
  readonly bytes: number
}

/** batchId, sentAt, punctuation: 95 bytes. */
const FRAME_BYTES = 128

export function utf8Length(text: string): number {
  return /^[\0-\x7f]*$/.test(text) ? text.length : new TextEncoder().encode(text).length
}

export function bodyOf(batch: Batch, sentMs: number): string {
  return `{"batchId":"${batch.batchId}","sentAt":${sentMs},${batch.head}"events":[${batch.events}]}`
}

/** How many events from the front make one body of at most `bytesMax`: 0 if not even one fits. */
export function batchLength(waiting: readonly Waiting[], bytesMax: number): number {
  const first = waiting[0]
  if (first === undefined) return 0
  let bytes = FRAME_BYTES + utf8Length(first.head)
  let count = 0
  for (const event of waiting) {
    bytes += event.bytes + 1
    if (event.head !== first.head || bytes > bytesMax || count === BATCH_EVENTS_MAX) break
    count++
  }
  return count
}

export interface Outbox {
  /** Returns how many events were dropped to make room (this one, if it is too large itself). */
  add(head: string, json: string): number
  /** A batch that was given back, else one of the oldest events within `bytesMax`. It stays on the
   * account until `done` or `giveBack`. */
  take(bytesMax: number): Batch | undefined
  /** Outcome unknown: to be sent again, before everything else. Returns events dropped. */
  giveBack(batch: Batch): number
  done(batch: Batch): void
  /** Forgets everything that is not in flight. Returns how many events that were. */
  clear(): number
  /** Events that `take` can still give. */
  readonly eventCount: number
  /** Their bytes, without those of batches given back. */
  readonly freshBytes: number
}

export function createOutbox(newId: () => string): Outbox {
  let fresh: Waiting[] = []
  let freshBytes = 0
  let returned: Batch[] = []
  /** Bytes of batches, in flight or given back. */
  let batchBytes = 0

  function trim(): number {
    let dropped = 0
    while (freshBytes + batchBytes > QUEUE_BYTES_MAX) {
      const batch = returned.shift()
      if (batch) {
        batchBytes -= batch.bytes
        dropped += batch.eventCount
        continue
      }
      const oldest = fresh.shift()
      if (!oldest) break
      freshBytes -= oldest.bytes
      dropped++
    }
    return dropped
  }

  return {
    add(head, json) {
      const bytes = utf8Length(json)
      if (bytes > EVENT_BYTES_MAX) return 1
      fresh.push({ head, json, bytes })
      freshBytes += bytes
      return trim()
    },
    take(bytesMax) {
      const again = returned.shift()
      if (again) return again
      const taken = fresh.splice(0, batchLength(fresh, bytesMax))
      const head = taken[0]?.head
      if (head === undefined) return undefined
      const events = taken.map((event) => event.json).join(',')
      for (const event of taken) freshBytes -= event.bytes
      const bytes = FRAME_BYTES + utf8Length(head) + utf8Length(events)
      batchBytes += bytes
      return { batchId: newId(), head, events, eventCount: taken.length, bytes }
    },
    giveBack(batch) {
      returned.push(batch)
      return trim()
    },
    done(batch) {
      batchBytes -= batch.bytes
    },
    clear() {
      let dropped = fresh.length
      for (const batch of returned) {
        dropped += batch.eventCount
        batchBytes -= batch.bytes
      }
      fresh = []
      returned = []
      freshBytes = 0
      return dropped
    },
    get eventCount() {
      return returned.reduce((sum, batch) => sum + batch.eventCount, fresh.length)
    },
    get freshBytes() {
      return freshBytes
    },
  }
}

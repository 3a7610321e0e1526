/**
 * Events that wait to be sent, in order, and the batches made of them. Memory only, bounded.
 *
 * `head` is the text of the envelope's ids; a batch never mixes two heads, so all events of a batch
 * are of one page. A batch is written out once, when it is taken, and its size is then known to the
 * byte. It keeps its id and its text for life: sent again it is the same batch, and the server keeps
 * it once. Above the bound the oldest goes first, and is counted.
 */
import { EVENT_BYTES_MAX, QUEUE_BYTES_MAX } from './limits.ts'
import { contentOf, type Happened, runLength } from './pack.ts'

interface Waiting extends Happened {
  readonly head: string
  readonly bytes: number
}

export interface Batch {
  readonly batchId: string
  readonly head: string
  /** The member that holds the events. */
  readonly content: string
  readonly eventCount: number
  /** Bytes of the body that `bodyOf` makes, at most. */
  readonly bytes: number
}

/** batchId, sentAt, punctuation: 82 bytes. */
const FRAME_BYTES = 128
/** An event without the text of its data: what it takes in memory counts, not its 20 on the wire. */
const WAITING_BYTES = 64
/** A batch that is too large is made shorter by this much more than its bytes say. */
const MARGIN = 0.98

export function utf8Length(text: string): number {
  return /^[\0-\x7f]*$/.test(text) ? text.length : new TextEncoder().encode(text).length
}

export function bodyOf(batch: Batch, sentMs: number): string {
  return `{"batchId":"${batch.batchId}","sentAt":${sentMs},${batch.head}${batch.content}}`
}

export interface Outbox {
  /** Returns how many events were dropped to make room (this one, if it is too large itself). */
  add(head: string, event: Happened): number
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
    add(head, event) {
      const dataBytes = typeof event.data === 'string' ? utf8Length(event.data) : 0
      if (dataBytes > EVENT_BYTES_MAX) return 1
      const bytes = WAITING_BYTES + dataBytes
      fresh.push({ ...event, head, bytes })
      freshBytes += bytes
      return trim()
    },
    take(bytesMax) {
      const again = returned.shift()
      if (again) return again
      const head = fresh[0]?.head
      if (head === undefined) return undefined
      const other = fresh.findIndex((event) => event.head !== head)
      let eventCount = runLength(other < 0 ? fresh : fresh.slice(0, other))
      while (eventCount > 0) {
        const content = contentOf(fresh.slice(0, eventCount))
        const bytes = FRAME_BYTES + utf8Length(head) + utf8Length(content)
        if (bytes <= bytesMax) {
          for (const event of fresh.splice(0, eventCount)) freshBytes -= event.bytes
          batchBytes += bytes
          return { batchId: newId(), head, content, eventCount, bytes }
        }
        eventCount = Math.floor(Math.min(eventCount - 1, (eventCount * bytesMax * MARGIN) / bytes))
      }
      return undefined
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

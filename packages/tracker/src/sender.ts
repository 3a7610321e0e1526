/**
 * Moves batches from the outbox to the server, and keeps the account straight.
 *
 * Decisions are `flush-policy.ts`'s, the wire is `transport.ts`'s. What must hold: a batch is in
 * exactly one place (outbox, in flight, unconfirmed, settled), and every created event ends as
 * acknowledged, rejected or dropped, or is pending.
 */
import { maySend, retryDelayMs, type Urgency, verdictOf } from './flush-policy.ts'
import { BATCH_BYTES_MAX, HIDDEN_REQUESTS_MAX } from './limits.ts'
import { type Batch, bodyOf, type Outbox } from './outbox.ts'
import type { Answer, Transport } from './transport.ts'

export interface Account {
  acknowledged: number
  rejected: number
  dropped: number
}

export interface Sender {
  /** Sends what waits now, batch after batch; what comes later waits for the next flush. */
  flush(): void
  /** Sends everything before it returns, and from now on each event at once. */
  leave(): void
  /** The page is seen again: back to the usual rhythm. */
  stay(): void
  /** Forgets what waits. What is in flight cannot be called back, but is not sent again. */
  abandon(): void
  readonly leaving: boolean
}

export function createSender(outbox: Outbox, transport: Transport, account: Account): Sender {
  let hidden = false
  let dueEvents = 0
  let requestsInFlight = 0
  let failures = 0
  let notBeforeMs = 0
  let retryTimer: ReturnType<typeof setTimeout> | undefined
  /** Sent by beacon. If the page comes back they are sent again, and the server knows the id. */
  let unconfirmed: Batch[] = []
  /** Counts the calls of `abandon`: a batch of an earlier life is not given back. */
  let life = 0

  function nextBatch(urgency: Urgency): Batch | undefined {
    const room = urgency === 'visible' ? BATCH_BYTES_MAX : transport.room()
    // Cut to the room that is left if at least one event fits, else beyond it and without keepalive.
    return outbox.take(Math.min(room, BATCH_BYTES_MAX)) ?? outbox.take(BATCH_BYTES_MAX)
  }

  function drain(urgency: Urgency): void {
    for (;;) {
      const nowMs = Date.now()
      const requestsHiddenMax = HIDDEN_REQUESTS_MAX
      const state = { urgency, dueEvents, requestsInFlight, requestsHiddenMax, nowMs, notBeforeMs }
      if (!maySend(state)) return
      const batch = nextBatch(urgency)
      if (!batch) {
        dueEvents = 0
        return
      }
      dueEvents = Math.max(0, dueEvents - batch.eventCount)
      const body = bodyOf(batch, nowMs)
      if (hidden && !transport.outlivesPage && transport.beacon(body)) unconfirmed.push(batch)
      else void transmit(batch, body)
    }
  }

  async function transmit(batch: Batch, body: string): Promise<void> {
    const lifeThen = life
    requestsInFlight++
    const answer = await transport.post(body, batch.bytes)
    requestsInFlight--
    settle(batch, answer, lifeThen === life)
    drain(hidden ? 'hidden' : 'visible')
  }

  function settle(batch: Batch, answer: Answer, wanted: boolean): void {
    const verdict = verdictOf(answer.status)
    if (verdict === 'again' && !wanted) {
      outbox.done(batch)
      account.dropped += batch.eventCount
      return
    }
    if (verdict === 'again') {
      const delayMs = retryDelayMs(++failures, answer.retryAfterMs, Math.random())
      notBeforeMs = Date.now() + delayMs
      clearTimeout(retryTimer)
      retryTimer = setTimeout(() => drain(hidden ? 'hidden' : 'visible'), delayMs + 1)
      account.dropped += outbox.giveBack(batch)
      dueEvents += batch.eventCount
      return
    }
    failures = 0
    notBeforeMs = 0
    outbox.done(batch)
    const rejected = verdict === 'refused' ? batch.eventCount : answer.rejectedCount
    account.rejected += rejected
    account.acknowledged += batch.eventCount - rejected
  }

  return {
    flush() {
      dueEvents = outbox.eventCount
      drain(hidden ? 'hidden' : 'visible')
    },
    leave() {
      hidden = true
      drain('leaving')
    },
    stay() {
      hidden = false
      for (const batch of unconfirmed) {
        account.dropped += outbox.giveBack(batch)
        dueEvents += batch.eventCount
      }
      unconfirmed = []
      drain('visible')
    },
    abandon() {
      life++
      dueEvents = 0
      clearTimeout(retryTimer)
      for (const batch of unconfirmed) {
        outbox.done(batch)
        account.dropped += batch.eventCount
      }
      unconfirmed = []
      account.dropped += outbox.clear()
    },
    get leaving() {
      return hidden
    },
  }
}

/**
 * What passes the door, counted: for `/metrics`, and for a tenant's account.
 *
 * Accepted and rejected events are counted by the log itself, durably; what only lives here is what
 * changes nothing on disk: requests refused whole, and how long things take.
 */
import { Counter, Histogram, type Registry } from 'prom-client'
import { RecentMedian } from '../kit/recent-median.ts'
import type { Appended, BatchEntry, LogWriter } from '../log/event-log.ts'
import type { AcceptObserver } from './accept-batch.ts'
import type { Sender } from './admit.ts'
import type { IngestObserver } from './ingest-route.ts'
import type { LiveFeed } from './live-feed.ts'

const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5]

export class Traffic implements AcceptObserver, IngestObserver {
  readonly acceptMs = new RecentMedian()
  readonly syncMs = new RecentMedian()
  readonly #live: LiveFeed
  readonly #onError: (error: unknown) => void
  readonly #onRepeated: (tenantNo: number, eventCount: number) => void
  readonly #requests: Counter<'outcome'>
  /** By outcome; made a metric when one asks, for this is the hot path. */
  readonly #bytes = new Map<string, number>()
  readonly #events: Counter<'outcome'>
  readonly #conflicts: Counter
  readonly #seconds: Histogram

  constructor(
    registry: Registry,
    live: LiveFeed,
    onError: (error: unknown) => void,
    onRepeated: (tenantNo: number, eventCount: number) => void,
  ) {
    this.#live = live
    this.#onError = onError
    this.#onRepeated = onRepeated
    const registers = [registry]
    this.#requests = new Counter({
      name: 'millrace_collector_requests_total',
      help: 'Requests at the door, by outcome',
      labelNames: ['outcome'],
      registers,
    })
    const bytes = this.#bytes
    new Counter({
      name: 'millrace_collector_request_bytes_total',
      help: 'Bytes of their bodies as sent, by outcome',
      labelNames: ['outcome'],
      registers,
      collect() {
        this.reset()
        for (const [outcome, sum] of bytes) this.inc({ outcome }, sum)
      },
    })
    this.#events = new Counter({
      name: 'millrace_collector_events_total',
      help: 'Events at the door, by outcome',
      labelNames: ['outcome'],
      registers,
    })
    this.#conflicts = new Counter({
      name: 'millrace_collector_batch_conflicts_total',
      help: 'Batch ids that came again with another event count',
      registers,
    })
    this.#seconds = new Histogram({
      name: 'millrace_collector_request_seconds',
      help: 'Request in to answer out',
      buckets: SECONDS,
      registers,
    })
  }

  accepted(sender: Sender, entry: BatchEntry, appended: Appended): void {
    if (appended.duplicate) {
      const count = entry.eventCount + entry.rejections.length
      this.#events.inc({ outcome: 'duplicate' }, count)
      this.#onRepeated(sender.tenantNo, count)
      if (appended.conflict) this.#conflicts.inc()
      return
    }
    if (entry.eventCount > 0) this.#events.inc({ outcome: 'accepted' }, entry.eventCount)
    if (entry.rejections.length > 0)
      this.#events.inc({ outcome: 'rejected' }, entry.rejections.length)
    this.#live.publish(sender, entry)
  }

  answered(outcome: string, elapsedMs: number, bodyBytes: number): void {
    this.#requests.inc({ outcome })
    this.#bytes.set(outcome, (this.#bytes.get(outcome) ?? 0) + bodyBytes)
    this.#seconds.observe(elapsedMs / 1000)
    if (outcome === 'accepted') this.acceptMs.add(elapsedMs)
  }

  failed(error: unknown): void {
    this.#onError(error)
  }
}

/** A log around a log that measures append to durable. */
export function meteredLog(
  log: LogWriter,
  elapsed: () => number,
  durations: RecentMedian,
): LogWriter {
  return {
    append: (entry) => {
      const startedMs = elapsed()
      const appending = log.append(entry)
      // Not waited for, and a rejection is for the one who asked.
      appending.then(
        () => durations.add(elapsed() - startedMs),
        () => {},
      )
      return appending
    },
    close: () => log.close(),
  }
}

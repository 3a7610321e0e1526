/**
 * What arrives, as it arrives, for people who watch: at most 50 events a second for each watcher.
 *
 * Nothing is parsed while nobody watches. A watcher that does not read fast enough misses events (it is
 * a window, not a queue); what it misses is in SQL.
 */
import { type Packed, unpackEvents } from '@millrace/protocol'
import type { Clock } from '../kit/clock.ts'
import type { BatchEntry } from '../log/event-log.ts'
import type { Sender } from './admit.ts'

/** One line of the feed. */
export type Arrival =
  | { readonly kind: 'event'; readonly body: Record<string, unknown> }
  | { readonly kind: 'rejected'; readonly body: Record<string, unknown> }

export const ARRIVALS_PER_SECOND_MAX = 50
/** Watchers of one tenant: consoles in open tabs. */
export const WATCHERS_MAX = 20

export class LiveFeed {
  readonly #watchers = new Map<number, Set<(arrival: Arrival) => void>>()
  readonly #clock: Clock
  #second = 0
  readonly #sent = new Map<number, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Returns the function that ends it, or undefined when too many watch already. */
  watch(tenantNo: number, watcher: (arrival: Arrival) => void): (() => void) | undefined {
    const watchers = this.#watchers.get(tenantNo) ?? new Set()
    if (watchers.size >= WATCHERS_MAX) return undefined
    this.#watchers.set(tenantNo, watchers.add(watcher))
    return () => {
      watchers.delete(watcher)
      // Ended twice, it must not take the set that others have started since.
      if (watchers.size === 0 && this.#watchers.get(tenantNo) === watchers)
        this.#watchers.delete(tenantNo)
    }
  }

  publish(sender: Sender, entry: BatchEntry): void {
    const watchers = this.#watchers.get(sender.tenantNo)
    if (watchers === undefined) return
    const left = this.#left(sender.tenantNo)
    if (left === 0) return
    const arrivals = arrivalsOf(sender, entry).slice(0, left)
    this.#sent.set(sender.tenantNo, (this.#sent.get(sender.tenantNo) ?? 0) + arrivals.length)
    for (const arrival of arrivals) for (const watcher of watchers) watcher(arrival)
  }

  #left(tenantNo: number): number {
    const second = Math.floor(this.#clock.now() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#sent.clear()
    }
    return Math.max(0, ARRIVALS_PER_SECOND_MAX - (this.#sent.get(tenantNo) ?? 0))
  }
}

/** Refused events first: they are few, and they are what one watches for. */
function arrivalsOf({ source }: Sender, entry: BatchEntry): Arrival[] {
  const defaults = JSON.parse(entry.defaults) as Record<string, unknown>
  const common = { receivedMs: entry.receivedMs, source: source.name }
  const rejected = entry.rejections.map(({ code, detail, pointer, raw }): Arrival => {
    return { kind: 'rejected', body: { ...common, code, detail, pointer, raw } }
  })
  if (entry.eventCount === 0) return rejected
  return rejected.concat(
    eventsOf(entry).map((event): Arrival => {
      const given = Object.entries(event).filter(([, value]) => value !== null)
      return { kind: 'event', body: { ...common, ...defaults, ...Object.fromEntries(given) } }
    }),
  )
}

/** As many as a watcher may see. */
function eventsOf({ events, packed }: BatchEntry): readonly object[] {
  const parsed = JSON.parse(Buffer.from(packed ?? events).toString())
  return packed === null ? parsed : unpackEvents(parsed as Packed, ARRIVALS_PER_SECOND_MAX)
}

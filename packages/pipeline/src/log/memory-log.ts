/**
 * The log in memory: for tests of everything that stands on it, and for the contract's sake.
 *
 * It keeps the same lines as the log on disk, in one array and with plain maps, so that what the
 * two have in common is the promise and not the code. "Durable" is the next turn of the event loop.
 */
import { type Clock, type Random, randomHex } from '../kit/clock.ts'
import type {
  Appended,
  BatchEntry,
  LogReader,
  LogWriter,
  Pending,
  RecordRange,
  TenantTotals,
} from './event-log.ts'
import { LogBusy } from './event-log.ts'
import { appendRecord, Slab } from './record.ts'
import { encodeHeader } from './segment.ts'

interface KeptRecord {
  readonly offset: number
  readonly entry: BatchEntry
  readonly line: Buffer
}

export function openMemoryLog(from: { readonly clock: Clock; readonly random: Random }): MemoryLog {
  return new MemoryLog(randomHex(from.random, 16), from.clock)
}

export class MemoryLog implements LogWriter, LogReader {
  readonly logId: string
  readonly #batches = new Map<string, Promise<Appended>>()
  readonly #durable: KeptRecord[] = []
  #nextOffset = 0
  #k: number
  #closed = false

  constructor(logId: string, clock: Clock) {
    this.logId = logId
    this.#k = encodeHeader({ logId, segment: 0, base: 0, createdMs: clock.now() }).k
  }

  async append(entry: BatchEntry): Promise<Appended> {
    if (this.#closed) throw new LogBusy('the log is closed')
    const batch = `${entry.tenantNo}/${entry.sourceNo}/${entry.batchId}`
    const first = this.#batches.get(batch)
    if (first !== undefined) {
      const { acceptedCount, rejectedCount, offset } = await first
      const conflict = entry.eventCount + entry.rejections.length !== acceptedCount + rejectedCount
      return { offset, duplicate: true, acceptedCount, rejectedCount, conflict }
    }
    const slab = new Slab(1_024)
    const k = appendRecord(slab, entry, this.#nextOffset, this.#k)
    this.#k = k
    const line = slab.buffer.subarray(0, slab.length)
    const appended = this.#keep({ offset: this.#nextOffset++, entry, line })
    this.#batches.set(batch, appended)
    return appended
  }

  async #keep(record: KeptRecord): Promise<Appended> {
    await new Promise((resolve) => setImmediate(resolve))
    this.#durable.push(record)
    const { offset, entry } = record
    return {
      offset,
      duplicate: false,
      acceptedCount: entry.eventCount,
      rejectedCount: entry.rejections.length,
      conflict: false,
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#batches.values())
  }

  end(): number {
    return (this.#durable.at(-1)?.offset ?? -1) + 1
  }

  tenants(): readonly number[] {
    const tenants = new Set(this.#durable.map(({ entry }) => entry.tenantNo))
    return [...tenants].sort((left, right) => left - right)
  }

  totals(tenantNo: number): TenantTotals {
    const records = this.#from(tenantNo, 0)
    return {
      acceptedCount: eventCountOf(records),
      rejectedCount: records.reduce((sum, { entry }) => sum + entry.rejections.length, 0),
      recordCount: records.length,
      damagedCount: 0,
    }
  }

  pending(tenantNo: number, fromOffset: number): Pending {
    const records = this.#from(tenantNo, fromOffset)
    return {
      bytes: records.reduce((sum, { line }) => sum + line.length, 0),
      recordCount: records.length,
      eventCount: eventCountOf(records),
      oldestReceivedMs: records[0]?.entry.receivedMs ?? null,
      nextOffset: records.length === 0 ? fromOffset : records.at(-1)!.offset + 1,
    }
  }

  async read(
    tenantNo: number,
    fromOffset: number,
    bytesMax: number,
  ): Promise<RecordRange | undefined> {
    const waiting = this.#from(tenantNo, fromOffset)
    let bytes = 0
    const records = waiting.filter(({ line }, place) => {
      bytes += line.length
      return place === 0 || bytes <= bytesMax
    })
    const last = records.at(-1)
    if (last === undefined) return undefined
    return {
      lines: Buffer.concat(records.map(({ line }) => line)),
      recordCount: records.length,
      eventCount: eventCountOf(records),
      nextOffset: last.offset + 1,
    }
  }

  /** Everything is kept, as long as the process. */
  commit(_tenantNo: number, _offset: number): void {}

  #from(tenantNo: number, fromOffset: number): KeptRecord[] {
    return this.#durable.filter(({ offset, entry }) => {
      return entry.tenantNo === tenantNo && offset >= fromOffset
    })
  }
}

function eventCountOf(records: readonly KeptRecord[]): number {
  return records.reduce((sum, { entry }) => sum + entry.eventCount, 0)
}

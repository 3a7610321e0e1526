/**
 * What was promised to whom, and whether it is kept: P1 to P4 of the contract, checked against what
 * a reader finds after a recovery.
 *
 * A batch is promised from the moment at which its sender was answered or a reader was served it.
 */
import type { Appended, BatchEntry } from '../../packages/pipeline/src/log/event-log.ts'
import type { Row } from './stand-in-lake.ts'

export class Violation extends Error {
  override readonly name = 'Violation'
}

export function expectThat(isSo: boolean, otherwise: () => string): void {
  if (!isSo) throw new Violation(otherwise())
}

export interface FoundRecord {
  readonly o: number
  readonly t: number
  readonly s: number
  readonly r: number
  readonly b: string
  readonly n: number
  readonly i: readonly number[] | null
  readonly e: unknown
  readonly x: readonly { readonly index: number }[] | null
}

export interface FoundTotals {
  readonly acceptedCount: number
  readonly rejectedCount: number
  readonly recordCount: number
}

export class Promises {
  /** Every batch that was ever sent. */
  readonly sent: BatchEntry[] = []
  readonly #byKey = new Map<string, BatchEntry>()
  readonly #promised = new Set<string>()
  readonly #keyAt = new Map<number, string>()
  readonly #offsetOf = new Map<string, number>()
  #logId: string | undefined
  /** No offset below it is ever given again. */
  #endFloor = 0
  readonly #lakeFloor = new Map<number, number>()

  offered(entry: BatchEntry): void {
    if (!this.#byKey.has(keyOf(entry))) this.sent.push(entry)
    this.#byKey.set(keyOf(entry), entry)
  }

  answered(entry: BatchEntry, { offset, duplicate, acceptedCount, conflict }: Appended): void {
    const key = keyOf(entry)
    expectThat(!conflict, () => `${key} is said to be in conflict with itself`)
    expectThat(acceptedCount === entry.eventCount, () => `${key} has ${acceptedCount} events`)
    expectThat(duplicate || !this.#promised.has(key), () => `${key} is appended a second time`)
    this.#promised.add(key)
    if (offset >= 0) this.#standsAt(key, offset)
  }

  isPromised(entry: BatchEntry): boolean {
    return this.#promised.has(keyOf(entry))
  }

  #standsAt(key: string, offset: number): void {
    const other = this.#keyAt.get(offset)
    expectThat(other === undefined || other === key, () => {
      return `offset ${offset} was given to ${other} and to ${key}`
    })
    const before = this.#offsetOf.get(key)
    expectThat(before === undefined || before === offset, () => {
      return `${key} stood at offset ${before} and stands at ${offset}`
    })
    this.#keyAt.set(offset, key)
    this.#offsetOf.set(key, offset)
    this.#endFloor = Math.max(this.#endFloor, offset + 1)
  }

  /** The log as a whole, as an open log says. */
  opened(logId: string, end: number): void {
    this.#logId ??= logId
    expectThat(logId === this.#logId, () => `the log's identity changed: ${this.#logId}, ${logId}`)
    expectThat(end >= this.#endFloor, () => `the log ends at ${end}, before ${this.#endFloor}`)
    this.#endFloor = end
  }

  /** The keys of one tenant's promised batches. */
  promisedTo(tenantNo: number): readonly string[] {
    return [...this.#promised].filter((key) => key.startsWith(`${tenantNo}/`))
  }

  /** All that one tenant's reader is served; `promised` by the time it asked. */
  served(
    tenantNo: number,
    records: readonly FoundRecord[],
    totals: FoundTotals,
    promised: readonly string[],
  ): void {
    let before = -1
    const seen = new Set<string>()
    for (const record of records) {
      const key = `${record.t}/${record.s}/${record.b}`
      expectThat(record.t === tenantNo, () => `${key} is served to tenant ${tenantNo}`)
      expectThat(record.o > before, () => `offset ${record.o} follows ${before}`)
      before = record.o
      expectThat(!seen.has(key), () => `${key} is there twice`)
      seen.add(key)
      const entry = this.#byKey.get(key)
      expectThat(entry !== undefined && isWhole(entry, record), () => `${key} is not what was sent`)
      this.#standsAt(key, record.o)
      this.#promised.add(key)
    }
    for (const key of promised) {
      expectThat(seen.has(key), () => `${key} was acknowledged and is gone`)
    }
    const accepted = records.reduce((sum, { n }) => sum + n, 0)
    const rejected = records.reduce((sum, { x }) => sum + (x?.length ?? 0), 0)
    expectThat(
      totals.acceptedCount === accepted &&
        totals.rejectedCount === rejected &&
        totals.recordCount === records.length,
      () => `the totals of ${tenantNo} are ${JSON.stringify(totals)} of ${accepted}, ${rejected}`,
    )
  }

  /** `events` of a tenant stands at least here from now on. */
  delivered(tenantNo: number, nextOffset: number): void {
    this.#lakeFloor.set(tenantNo, Math.max(nextOffset, this.#lakeFloor.get(tenantNo) ?? 0))
  }

  /** A snapshot of `events`: its progress, and all its rows. */
  lakeHolds(tenantNo: number, logId: string | undefined, next: number, rows: readonly Row[]): void {
    const floor = this.#lakeFloor.get(tenantNo) ?? 0
    expectThat(next >= floor, () => `the lake of ${tenantNo} went back from ${floor} to ${next}`)
    expectThat(next <= this.#endFloor, () => `the lake is at ${next}, the log at ${this.#endFloor}`)
    expectThat(logId === undefined || logId === this.#logId, () => `the lake is of log ${logId}`)
    const found = new Set<string>()
    const ids = new Set<string>()
    for (const row of rows) {
      const place = `${tenantNo}/${row.source}/${row.batch} ${row.index}`
      expectThat(!found.has(place), () => `the lake has ${place} twice`)
      found.add(place)
      const id = `${row.source} ${row.eventId}`
      expectThat(row.eventId === null || !ids.has(id), () => `the lake has event ${id} twice`)
      ids.add(id)
      expectThat(row.offset < next, () => `the lake is at ${next} and has ${place}`)
    }
    let count = 0
    for (const [offset, key] of this.#keyAt) {
      if (offset >= next || !key.startsWith(`${tenantNo}/`)) continue
      const entry = this.#byKey.get(key)!
      for (const { index, eventId } of eventsOf(entry)) {
        const isThere = found.has(`${key} ${index}`)
        const isKnown = eventId !== undefined && ids.has(`${entry.sourceNo} ${eventId}`)
        expectThat(isThere || isKnown, () => `the lake is past ${offset} without ${key} ${index}`)
        if (isThere) count++
      }
    }
    expectThat(count === rows.length, () => `the lake has ${rows.length} rows of ${count} events`)
  }
}

function keyOf({ tenantNo, sourceNo, batchId }: BatchEntry): string {
  return `${tenantNo}/${sourceNo}/${batchId}`
}

function isWhole(entry: BatchEntry, record: FoundRecord): boolean {
  const events = entry.eventCount === 0 ? 'null' : Buffer.from(entry.events).toString()
  return (
    JSON.stringify(record.e) === events &&
    record.n === entry.eventCount &&
    record.r === entry.receivedMs &&
    JSON.stringify(record.i) === JSON.stringify(entry.indexes) &&
    JSON.stringify(record.x ?? []) === JSON.stringify(entry.rejections)
  )
}

function eventsOf(entry: BatchEntry): { index: number; eventId: string | undefined }[] {
  const events = JSON.parse(Buffer.from(entry.events).toString()) as { eventId?: string }[]
  return events.map(({ eventId }, at) => ({ index: entry.indexes?.[at] ?? at, eventId }))
}

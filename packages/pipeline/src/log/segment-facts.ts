/**
 * What each segment holds of each tenant, in numbers: enough to decide when it may go, and to know
 * what the log's totals lose with it. 20 bytes for each tenant in a segment.
 */
import type { GoneRecords, StoredRecord } from './tenant-index.ts'

/** What a segment, or several, hold of one tenant. */
export interface TenantPart extends GoneRecords {
  readonly tenantNo: number
  /** One past the tenant's last record there. */
  readonly nextOffset: number
}

const TENANTS_MIN = 4
const COLUMNS = 5
/** The last record is named by its place in the segment, which fits into 32 bits. */
const [TENANT, PLACE, RECORDS, ACCEPTED, REJECTED] = [0, 1, 2, 3, 4]

export class SegmentFacts {
  readonly segment: number
  /** Offset of its first record. */
  readonly base: number
  endByte = 0
  /** `receivedMs` of the record received last, by the clock. */
  newestMs = 0
  #cells = new Uint32Array(TENANTS_MIN * COLUMNS)
  #count = 0
  /** Row of each tenant, for as long as records are added. */
  #rows: Map<number, number> | undefined = new Map()

  constructor(segment: number, base: number) {
    this.segment = segment
    this.base = base
  }

  add(record: StoredRecord): void {
    const at = this.#rowOf(record.tenantNo) * COLUMNS
    const cells = this.#cells
    cells[at + PLACE] = record.offset - this.base
    cells[at + RECORDS]! += 1
    cells[at + ACCEPTED]! += record.acceptedCount
    cells[at + REJECTED]! += record.rejectedCount
    this.endByte = record.endByte
    this.newestMs = Math.max(this.newestMs, record.receivedMs)
  }

  /** No record follows: what only adding needs is given back. */
  seal(): void {
    this.#rows = undefined
    this.#cells = this.#cells.slice(0, this.#count * COLUMNS)
  }

  *tenants(): Iterable<TenantPart> {
    const cells = this.#cells
    for (let at = 0; at < this.#count * COLUMNS; at += COLUMNS) {
      yield {
        tenantNo: cells[at + TENANT]!,
        nextOffset: this.base + cells[at + PLACE]! + 1,
        recordCount: cells[at + RECORDS]!,
        acceptedCount: cells[at + ACCEPTED]!,
        rejectedCount: cells[at + REJECTED]!,
      }
    }
  }

  #rowOf(tenantNo: number): number {
    const rows = this.#rows!
    const known = rows.get(tenantNo)
    if (known !== undefined) return known
    const row = this.#count++
    if (this.#count * COLUMNS > this.#cells.length) {
      const larger = new Uint32Array(this.#cells.length * 2)
      larger.set(this.#cells)
      this.#cells = larger
    }
    this.#cells[row * COLUMNS + TENANT] = tenantNo
    rows.set(tenantNo, row)
    return row
  }
}

/** The segments that hold durable records, oldest first. */
export class RetainedSegments {
  #all: SegmentFacts[] = []

  /** Records come in the order of their offsets. */
  add(record: StoredRecord): void {
    let last = this.#all.at(-1)
    if (last?.segment !== record.segment) {
      last?.seal()
      last = new SegmentFacts(record.segment, record.offset)
      this.#all.push(last)
    }
    last.add(record)
  }

  get all(): readonly SegmentFacts[] {
    return this.#all
  }

  /** All but the last, which may still be added to. */
  get sealed(): readonly SegmentFacts[] {
    return this.#all.slice(0, -1)
  }

  dropFirst(count: number): void {
    this.#all.splice(0, count)
  }
}

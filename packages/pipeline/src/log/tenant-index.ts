/**
 * Where each tenant's records stand: what lets a reader take one tenant's bytes and nobody else's.
 *
 * Per tenant, columns in typed arrays with one row for a record (56 bytes) and running sums, so
 * that what waits from an offset on is exact and costs a binary search. Neighbouring records become
 * one piece when a read is planned. Rows are added only once a record is on stable storage: what is
 * not in here does not exist for any reader.
 *
 * Rows of delivered records are forgotten (`floor`): queries have them from the lake. The sums go
 * on, so the totals stay exact.
 */
import type { BatchKey } from './batch-key.ts'
import type { Pending, TenantTotals } from './event-log.ts'

/** One durable record and where it stands. */
export interface StoredRecord {
  readonly offset: number
  readonly tenantNo: number
  readonly segment: number
  readonly startByte: number
  /** Exclusive. */
  readonly endByte: number
  readonly receivedMs: number
  readonly acceptedCount: number
  readonly rejectedCount: number
}

/** … and by what its batch is known. */
export type KeyedRecord = StoredRecord & { readonly key: BatchKey }

/** Neighbouring records of one tenant in one segment. */
export interface Piece {
  readonly segment: number
  readonly startByte: number
  /** Exclusive. */
  readonly endByte: number
  readonly firstOffset: number
  readonly lastOffset: number
  /** What the first line is chained to, where the eleven bytes before it do not say so. */
  readonly seed?: number
}

export interface Slice {
  readonly pieces: readonly Piece[]
  readonly bytes: number
  readonly recordCount: number
  readonly eventCount: number
  /** Damaged records below `nextOffset` that are in no piece, and their accepted events. */
  readonly skippedRecordCount: number
  readonly skippedEventCount: number
  readonly nextOffset: number
}

/** A row as `inSegment` tells it. */
export interface IndexedRecord {
  readonly tenantNo: number
  readonly offset: number
  readonly acceptedCount: number
  readonly isDamaged: boolean
}

/** A plan must stay small enough to send to another process; each piece costs one read. */
export const PIECES_MAX = 4_096
const ROWS_MIN = 16
/**
 * offset, segment, startByte, receivedMs, and the sums before the row: bytes, accepted, rejected.
 */
const COLUMNS = 7
const [OFFSET, SEGMENT, START, RECEIVED, BYTES, ACCEPTED, REJECTED] = [0, 1, 2, 3, 4, 5, 6]

/** What is counted without a row. */
export type GoneRecords = Omit<TenantTotals, 'damagedCount'>

/** Rows of one tenant. Row `count` holds only the sums: the totals, rows that are gone included. */
class TenantRows {
  count = 0
  /** Records of which there is no row any more; each has an offset below `floor`. */
  goneCount = 0
  floor = 0
  #cells = new Float64Array(ROWS_MIN * COLUMNS)
  /** Offsets of records that cannot be read. Rare, so it stands beside the rows. */
  readonly damaged = new Set<number>()
  /** By offset: the seed of a record whose neighbour's `k` is damaged. */
  readonly seeds = new Map<number, number>()
  damagedEvents = 0
  /** Rows before this one are gone, but still take their place. */
  #first = 0

  at(row: number, column: number): number {
    return this.#cells[(this.#first + row) * COLUMNS + column]!
  }

  add(record: StoredRecord): void {
    const row = (this.#first + this.count) * COLUMNS
    if (row + 2 * COLUMNS > this.#cells.length) {
      const larger = new Float64Array(this.#cells.length * 2)
      larger.set(this.#cells)
      this.#cells = larger
    }
    const cells = this.#cells
    cells[row + OFFSET] = record.offset
    cells[row + SEGMENT] = record.segment
    cells[row + START] = record.startByte
    cells[row + RECEIVED] = record.receivedMs
    const next = row + COLUMNS
    cells[next + BYTES] = cells[row + BYTES]! + record.endByte - record.startByte
    cells[next + ACCEPTED] = cells[row + ACCEPTED]! + record.acceptedCount
    cells[next + REJECTED] = cells[row + REJECTED]! + record.rejectedCount
    this.count++
  }

  /** Counts records that get no row. Only while there is no row. */
  addGone(gone: GoneRecords, floor: number): void {
    const row = this.#first * COLUMNS
    this.#cells[row + ACCEPTED]! += gone.acceptedCount
    this.#cells[row + REJECTED]! += gone.rejectedCount
    this.goneCount += gone.recordCount
    this.floor = floor
  }

  /** Forgets the rows below an offset; gives memory back once half of the rows are gone. */
  forget(belowOffset: number): void {
    const gone = this.from(belowOffset)
    if (gone === 0) return
    this.floor = this.at(gone - 1, OFFSET) + 1
    for (const offset of this.damaged) if (offset < this.floor) this.damaged.delete(offset)
    for (const offset of this.seeds.keys()) if (offset < this.floor) this.seeds.delete(offset)
    this.#first += gone
    this.count -= gone
    this.goneCount += gone
    if (this.#first < this.count) return
    const start = this.#first * COLUMNS
    let length = ROWS_MIN * COLUMNS
    while (length < (this.count + 1) * COLUMNS) length *= 2
    const kept = new Float64Array(length)
    kept.set(this.#cells.subarray(start, start + (this.count + 1) * COLUMNS))
    this.#cells = kept
    this.#first = 0
  }

  /** The first row with this offset or a later one. */
  from(offset: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.at(middle, OFFSET) < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Difference of a running sum over rows [from, to). */
  sum(column: number, from: number, to: number): number {
    return this.at(to, column) - this.at(from, column)
  }
}

export class TenantIndex {
  readonly #tenants = new Map<number, TenantRows>()

  add(record: StoredRecord): void {
    this.#rowsOf(record.tenantNo).add(record)
  }

  /**
   * Counts records below `floor` that are not kept here: those of dropped segments, and at start
   * those that the lake has. Only before any is added for this tenant.
   */
  addGone(tenantNo: number, gone: GoneRecords, floor: number): void {
    this.#rowsOf(tenantNo).addGone(gone, floor)
  }

  /** Forgets where the tenant's records below an offset stand; they stay in the totals. */
  forget(tenantNo: number, belowOffset: number): void {
    this.#tenants.get(tenantNo)?.forget(belowOffset)
  }

  /** Some of the tenant's records below this offset are not here any more; none above it is missing. */
  floor(tenantNo: number): number {
    return this.#tenants.get(tenantNo)?.floor ?? 0
  }

  tenants(): readonly number[] {
    return [...this.#tenants.keys()].sort((left, right) => left - right)
  }

  totals(tenantNo: number): TenantTotals {
    const rows = this.#tenants.get(tenantNo)
    if (rows === undefined) return NO_TOTALS
    const { count } = rows
    return {
      acceptedCount: rows.at(count, ACCEPTED),
      rejectedCount: rows.at(count, REJECTED),
      recordCount: rows.goneCount + count,
      damagedCount: rows.damagedEvents,
    }
  }

  /** Every row of a segment, tenant by tenant. */
  inSegment(segment: number): IndexedRecord[] {
    return [...this.#tenants].flatMap(([tenantNo, rows]) => {
      const found: IndexedRecord[] = []
      let row = rows.count
      while (row > 0 && rows.at(row - 1, SEGMENT) > segment) row--
      for (; row > 0 && rows.at(row - 1, SEGMENT) === segment; row--) {
        const offset = rows.at(row - 1, OFFSET)
        const acceptedCount = rows.sum(ACCEPTED, row - 1, row)
        found.push({ tenantNo, offset, acceptedCount, isDamaged: rows.damaged.has(offset) })
      }
      return found.reverse()
    })
  }

  /** The record is counted as before, but is in no piece any more. */
  markDamaged(tenantNo: number, offset: number): void {
    const rows = this.#tenants.get(tenantNo)
    const row = rows?.from(offset) ?? 0
    if (rows === undefined || row === rows.count || rows.at(row, OFFSET) !== offset) return
    if (rows.damaged.has(offset)) return
    rows.damaged.add(offset)
    rows.damagedEvents += rows.sum(ACCEPTED, row, row + 1)
  }

  /** The record begins a piece of its own, which carries the seed. */
  setSeed(tenantNo: number, offset: number, seed: number): void {
    this.#tenants.get(tenantNo)?.seeds.set(offset, seed)
  }

  pending(tenantNo: number, fromOffset: number): Pending {
    const rows = this.#tenants.get(tenantNo)
    const first = rows?.from(fromOffset) ?? 0
    if (rows === undefined || first === rows.count) {
      return {
        bytes: 0,
        recordCount: 0,
        eventCount: 0,
        oldestReceivedMs: null,
        nextOffset: fromOffset,
      }
    }
    const { count } = rows
    return {
      bytes: rows.sum(BYTES, first, count),
      recordCount: count - first,
      eventCount: rows.sum(ACCEPTED, first, count),
      oldestReceivedMs: rows.at(first, RECEIVED),
      nextOffset: rows.at(count - 1, OFFSET) + 1,
    }
  }

  /**
   * Whole records from `fromOffset` on, at least one, up to `bytesMax`; undefined when none waits.
   */
  slice(tenantNo: number, fromOffset: number, bytesMax: number): Slice | undefined {
    const rows = this.#tenants.get(tenantNo)
    const first = rows?.from(fromOffset) ?? 0
    if (rows === undefined || first === rows.count) return undefined

    const pieces: Piece[] = []
    let row = first
    while (row < rows.count && pieces.length < PIECES_MAX) {
      const end = runEnd(rows, row, rows.at(first, BYTES) + bytesMax, row === first)
      if (end === row) break
      if (hasMarks(rows)) pieces.push(...piecesAround(rows, row, end))
      else pieces.push(pieceOf(rows, row, end))
      row = end
    }
    const skipped = skippedIn(rows, first, row)
    return {
      pieces,
      bytes: rows.sum(BYTES, first, row) - skipped.bytes,
      recordCount: row - first - skipped.recordCount,
      eventCount: rows.sum(ACCEPTED, first, row) - skipped.eventCount,
      skippedRecordCount: skipped.recordCount,
      skippedEventCount: skipped.eventCount,
      nextOffset: rows.at(row - 1, OFFSET) + 1,
    }
  }

  #rowsOf(tenantNo: number): TenantRows {
    let rows = this.#tenants.get(tenantNo)
    if (rows === undefined) {
      rows = new TenantRows()
      this.#tenants.set(tenantNo, rows)
    }
    return rows
  }
}

const NO_TOTALS = { acceptedCount: 0, rejectedCount: 0, recordCount: 0, damagedCount: 0 }

/** Rows [row, end), which stand one behind the other. */
function pieceOf(rows: TenantRows, row: number, end: number): Piece {
  const startByte = rows.at(row, START)
  return {
    segment: rows.at(row, SEGMENT),
    startByte,
    endByte: startByte + rows.sum(BYTES, row, end),
    firstOffset: rows.at(row, OFFSET),
    lastOffset: rows.at(end - 1, OFFSET),
  }
}

function hasMarks(rows: TenantRows): boolean {
  return rows.damaged.size > 0 || rows.seeds.size > 0
}

/** The same without damaged records; one with a seed begins a piece. */
function piecesAround(rows: TenantRows, row: number, end: number): Piece[] {
  const pieces: Piece[] = []
  const isDamaged = (at: number) => rows.damaged.has(rows.at(at, OFFSET))
  const seedOf = (at: number) => rows.seeds.get(rows.at(at, OFFSET))
  for (let at = row; at < end; ) {
    let next = at + 1
    if (!isDamaged(at)) {
      while (next < end && !isDamaged(next) && seedOf(next) === undefined) next++
      const seed = seedOf(at)
      pieces.push({ ...pieceOf(rows, at, next), ...(seed === undefined ? {} : { seed }) })
    }
    at = next
  }
  return pieces
}

function skippedIn(rows: TenantRows, first: number, end: number) {
  const skipped = { recordCount: 0, eventCount: 0, bytes: 0 }
  for (const offset of rows.damaged) {
    const row = rows.from(offset)
    if (row < first || row >= end) continue
    skipped.recordCount++
    skipped.eventCount += rows.sum(ACCEPTED, row, row + 1)
    skipped.bytes += rows.sum(BYTES, row, row + 1)
  }
  return skipped
}

/**
 * One past the last row that stands right behind the one before it, the sum of bytes staying at or
 * below `sumMax`. `must`: the first row counts even if it is too large alone.
 */
function runEnd(rows: TenantRows, row: number, sumMax: number, must: boolean): number {
  if (!must && rows.at(row + 1, BYTES) > sumMax) return row
  let end = row + 1
  while (
    end < rows.count &&
    rows.at(end + 1, BYTES) <= sumMax &&
    rows.at(end, SEGMENT) === rows.at(row, SEGMENT) &&
    rows.at(end, START) === rows.at(end - 1, START) + rows.sum(BYTES, end - 1, end)
  ) {
    end++
  }
  return end
}

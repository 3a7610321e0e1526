/**
 * When a segment of the log may go, and how it goes.
 *
 * A sealed segment goes when every record in it is in the lake and it is either old enough or the
 * disk runs short; only from the front, never the open one. What is not delivered is kept whatever
 * its age and however full the disk. `segmentsToDrop` decides, `Retention` carries it out: first the
 * counts of what goes are on stable storage (retired.ts), then the files are removed, so that a
 * crash at any point leaves a log that opens with the same totals.
 *
 * A commit counts only after `SETTLE_MS`: until then a query that has read the lake's snapshot
 * before it still reads what lies below from the log.
 */
import type { Clock } from '../kit/clock.ts'
import { MillraceError } from '../kit/errors.ts'
import type { FileSystem } from '../kit/files.ts'
import type { BatchMemory } from './batch-memory.ts'
import type { WriterEpoch } from './epoch.ts'
import { type Retired, removeBelow, retiredWith, writeRetired } from './retired.ts'
import type { RetainedSegments, SegmentFacts } from './segment-facts.ts'
import type { TenantIndex } from './tenant-index.ts'

/** Twice as long as a query may take, tail and all. */
export const SETTLE_MS = 120_000
const TICK_MS = 2_000
/** A tenant that holds the oldest segment back is named again only after this. */
const NAMED_AGAIN_MS = 600_000

export interface DropConditions {
  readonly nowMs: number
  /** How long a delivered segment is kept after its newest record was received. */
  readonly keepMs: number
  /** Bytes the disk is short of; 0 when it has enough. */
  readonly missingBytes: number
  /** Everything of the tenant below it is in the lake; 0 when nothing is known. */
  readonly deliveredOffset: (tenantNo: number) => number
}

type Droppable = Pick<SegmentFacts, 'newestMs' | 'endByte' | 'tenants'>

/** How many of the sealed segments go now, from the oldest on. */
export function segmentsToDrop(sealed: readonly Droppable[], conditions: DropConditions): number {
  let freedBytes = 0
  let count = 0
  for (const segment of sealed) {
    if (!isWanted(segment, conditions, freedBytes)) break
    if (holders(segment, conditions).length > 0) break
    freedBytes += segment.endByte
    count++
  }
  return count
}

/** Tenants whose undelivered records keep the oldest segment, which would go without them. */
export function holdingBack(sealed: readonly Droppable[], conditions: DropConditions): number[] {
  const [oldest] = sealed
  return oldest !== undefined && isWanted(oldest, conditions, 0) ? holders(oldest, conditions) : []
}

function isWanted(
  { newestMs }: Droppable,
  { nowMs, keepMs, missingBytes }: DropConditions,
  freedBytes: number,
): boolean {
  return nowMs - newestMs >= keepMs || freedBytes < missingBytes
}

function holders(segment: Droppable, { deliveredOffset }: DropConditions): number[] {
  return [...segment.tenants()]
    .filter(({ tenantNo, nextOffset }) => deliveredOffset(tenantNo) < nextOffset)
    .map(({ tenantNo }) => tenantNo)
}

export interface RetentionOptions {
  readonly folder: string
  readonly files: FileSystem
  readonly clock: Clock
  /** How long a delivered segment is kept; 0: until its delivery has settled. */
  readonly keepMs: number
  /** Below this much free space delivered segments go whatever their age. */
  readonly pressureBytes: number
  readonly onFault?: ((error: unknown) => void) | undefined
  /** Told which tenants keep the oldest segment from going; a delivery of theirs frees it. */
  readonly onHeldBack?: ((tenants: readonly number[]) => void) | undefined
}

/** What retention works on; all of it is shared with the writer. */
export interface Retained {
  readonly logId: string
  readonly index: TenantIndex
  readonly memory: BatchMemory
  readonly segments: RetainedSegments
  readonly retired: Retired | undefined
  readonly epoch: WriterEpoch
}

interface Commit {
  readonly atMs: number
  readonly offset: number
}

export class Retention {
  readonly #options: RetentionOptions
  readonly #log: Retained
  /** By tenant, oldest first: the last one that has settled and those after it. */
  readonly #commits = new Map<number, Commit[]>()
  #retired: Pick<Retired, 'tenants'>
  #droppedCount = 0
  /** Files before this segment may be left over from a removal that failed. */
  #removeBelow = 0
  #namedMs = Number.NEGATIVE_INFINITY
  #running: Promise<void> | undefined
  readonly #timer: NodeJS.Timeout

  constructor(options: RetentionOptions, log: Retained) {
    this.#options = options
    this.#log = log
    this.#retired = log.retired ?? { tenants: new Map() }
    this.#timer = setInterval(() => void this.run(), TICK_MS)
    this.#timer.unref()
  }

  /** Segments dropped since the start. */
  get droppedCount(): number {
    return this.#droppedCount
  }

  commit(tenantNo: number, offset: number): void {
    const { onFault } = this.#options
    const floor = this.#log.index.floor(tenantNo)
    if (offset < floor) {
      const message = `the lake has tenant ${tenantNo} up to offset ${offset}, the log from ${floor} on`
      const hint =
        'An older copy of the lake was put in place. Start again: what is kept is delivered.'
      onFault?.(new MillraceError('data_damaged', message, { hint }))
    }
    const commits = this.#commits.get(tenantNo) ?? []
    const last = commits.at(-1)?.offset ?? -1
    if (offset === last) return
    // A lake that went back holds again what it had given free.
    this.#commits.set(tenantNo, offset < last ? [] : commits)
    this.#commits.get(tenantNo)!.push({ atMs: this.#options.clock.now(), offset })
  }

  /** Drops what may go now. By itself every two seconds. Never rejects: see `onFault`. */
  run(): Promise<void> {
    this.#running ??= this.#run()
      .catch((error) => this.#options.onFault?.(error))
      .finally(() => {
        this.#running = undefined
      })
    return this.#running
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
  }

  async #run(): Promise<void> {
    const { index, segments } = this.#log
    const nowMs = this.#options.clock.now()
    for (const [tenantNo, commits] of this.#commits) {
      while (commits.length > 1 && nowMs - commits[1]!.atMs >= SETTLE_MS) commits.shift()
      index.forget(tenantNo, this.#settled(tenantNo, nowMs))
    }
    const conditions = {
      nowMs,
      keepMs: this.#options.keepMs,
      missingBytes: await this.#missingBytes(),
      deliveredOffset: (tenantNo: number) => this.#settled(tenantNo, nowMs),
    }
    const { sealed } = segments
    const count = segmentsToDrop(sealed, conditions)
    if (count > 0) await this.#drop(sealed.slice(0, count), segments.all[count]!)
    else if (this.#removeBelow > 0) await this.#remove()
    this.#nameHolders(holdingBack(sealed.slice(count), conditions), nowMs)
  }

  #settled(tenantNo: number, nowMs: number): number {
    const [first] = this.#commits.get(tenantNo) ?? []
    return first !== undefined && nowMs - first.atMs >= SETTLE_MS ? first.offset : 0
  }

  async #missingBytes(): Promise<number> {
    const { files, folder, pressureBytes } = this.#options
    return Math.max(0, pressureBytes - (await files.freeBytes(folder)))
  }

  async #drop(dropped: readonly SegmentFacts[], next: SegmentFacts): Promise<void> {
    const { logId, memory, segments } = this.#log
    const retired = {
      logId,
      firstSegment: next.segment,
      tenants: retiredWith(this.#retired, dropped),
    }
    await this.#log.epoch.expectOwn()
    await writeRetired(this.#options, retired)
    this.#retired = retired
    segments.dropFirst(dropped.length)
    memory.forgetBelow(next.segment)
    this.#droppedCount += dropped.length
    this.#removeBelow = next.segment
    await this.#remove()
  }

  async #remove(): Promise<void> {
    await removeBelow(this.#options, this.#removeBelow)
    this.#removeBelow = 0
  }

  #nameHolders(tenants: readonly number[], nowMs: number): void {
    const { onHeldBack } = this.#options
    if (tenants.length === 0 || nowMs - this.#namedMs < NAMED_AGAIN_MS) return
    this.#namedMs = nowMs
    onHeldBack?.(tenants)
  }
}

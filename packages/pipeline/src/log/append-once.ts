/**
 * What makes an append idempotent: a batch that is there, or on its way, is not appended again.
 *
 * Three places are asked in this order: the memory of the newest batches, the appends that are
 * under way, and, where the memory only suspects a segment, that segment's sidecar. From the first
 * question to the end of the append the batch is on its way, so that a second one at any time joins
 * the first. Only a suspected batch waits for a read; the others pass it.
 */
import type { FileSystem } from '../kit/files.ts'
import type { BatchKey } from './batch-key.ts'
import type { BatchMemory } from './batch-memory.ts'
import { type Appended, type BatchEntry, LogBusy } from './event-log.ts'
import { SealedBatches } from './sealed-batches.ts'

/** Batches that wait to be looked up, of a mebibyte at most each: a tenth of a second of reads. */
const LOOKUPS_MAX = 64

/** Appends the batch, or refuses it; adds it to the memory before it resolves. */
export type Store = (entry: BatchEntry, key: BatchKey) => Promise<Appended>

export class AppendOnce {
  readonly #memory: BatchMemory
  readonly #sealed: SealedBatches
  /** Appends under way, by batch. */
  readonly #flights = new Map<string, Promise<Appended>>()
  #lookups = 0

  constructor(at: { folder: string; files: FileSystem }, memory: BatchMemory) {
    this.#memory = memory
    this.#sealed = new SealedBatches(at, memory)
  }

  append(entry: BatchEntry, store: Store): Promise<Appended> {
    const { tenantNo, sourceNo, batchId } = entry
    const key = this.#memory.key(tenantNo, sourceNo, batchId)
    const known = this.#memory.get(key)
    if (known !== undefined) return Promise.resolve(duplicateOf(entry, { ...known, offset: -1 }))
    const flight = `${tenantNo}/${sourceNo}/${batchId}`
    const first = this.#flights.get(flight)
    if (first !== undefined) return first.then((appended) => duplicateOf(entry, appended))

    const suspects = this.#memory.suspects(key)
    const appended =
      suspects.length > 0 ? this.#unlessIn(suspects, entry, key, store) : store(entry, key)
    this.#flights.set(flight, appended)
    const ended = () => void this.#flights.delete(flight)
    appended.then(ended, ended)
    return appended
  }

  /** Resolves when nothing of what was asked so far is under way. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#flights.values())
  }

  async #unlessIn(
    segments: readonly number[],
    entry: BatchEntry,
    key: BatchKey,
    store: Store,
  ): Promise<Appended> {
    if (this.#lookups >= LOOKUPS_MAX) {
      throw new LogBusy(`${this.#lookups} batches wait to be looked up`)
    }
    this.#lookups++
    try {
      const counts = await this.#sealed.find(key, segments)
      if (counts !== undefined) return duplicateOf(entry, { ...counts, offset: -1 })
    } finally {
      this.#lookups--
    }
    return store(entry, key)
  }
}

/** What `entry` gets when `first` is there already under its batch id. */
function duplicateOf(
  entry: BatchEntry,
  first: { offset: number; acceptedCount: number; rejectedCount: number },
): Appended {
  const { offset, acceptedCount, rejectedCount } = first
  const conflict = entry.eventCount + entry.rejections.length !== acceptedCount + rejectedCount
  return { offset, duplicate: true, acceptedCount, rejectedCount, conflict }
}

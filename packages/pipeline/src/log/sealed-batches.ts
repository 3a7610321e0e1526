/**
 * Whether a sealed segment holds a batch: the exact half of what the batch memory only suspects.
 *
 * Read from the segment's sidecar, or from the segment itself where the sidecar is missing or wrong
 * (one that is just being written, too). Nothing is guessed: what cannot be read rejects.
 */
import { join } from 'node:path'
import { errnoOf, MillraceError } from '../kit/errors.ts'
import { type FileSystem, type OpenFile, readFile } from '../kit/files.ts'
import type { BatchKey } from './batch-key.ts'
import type { BatchCounts, BatchMemory } from './batch-memory.ts'
import { readHead } from './record.ts'
import {
  HEADER_BYTES_MAX,
  type HeaderReading,
  readHeader,
  scanSegment,
  segmentName,
} from './segment.ts'
import { checkedRows, findBatch, SidecarRows, sidecarName } from './sidecar.ts'

/** A hundred sidecars of median events: a client that resends old batches reads them once. */
const CACHE_BYTES_MAX = 32 * 1_048_576

export class SealedBatches {
  readonly #folder: string
  readonly #files: FileSystem
  readonly #memory: BatchMemory
  /** Rows of segments, the one used last at the end. */
  readonly #cache = new Map<number, DataView>()
  #cacheBytes = 0
  #turn: Promise<unknown> = Promise.resolve()

  constructor(at: { folder: string; files: FileSystem }, memory: BatchMemory) {
    this.#folder = at.folder
    this.#files = at.files
    this.#memory = memory
  }

  /**
   * Counts of the batch in the first of the segments that has it. A segment that retention has
   * dropped meanwhile has nothing. One question at a time: a segment may have to be read whole.
   */
  find(key: BatchKey, segments: readonly number[]): Promise<BatchCounts | undefined> {
    const answer = this.#turn.then(() => this.#find(key, segments))
    this.#turn = answer.catch(() => {})
    return answer
  }

  async #find(key: BatchKey, segments: readonly number[]): Promise<BatchCounts | undefined> {
    for (const segment of segments) {
      const rows = await this.#rowsOf(segment).catch((error) => {
        if (errnoOf(error) === 'ENOENT' && !this.#memory.holds(segment)) return undefined
        const message = `cannot look up a batch in ${segmentName(segment)}: ${errnoOf(error) ?? error}`
        throw new MillraceError('data_unreadable', message, { cause: error })
      })
      const found = rows === undefined ? undefined : findBatch(rows, key)
      if (found !== undefined) return found
    }
    return undefined
  }

  async #rowsOf(segment: number): Promise<DataView> {
    const cached = this.#cache.get(segment)
    if (cached !== undefined) {
      this.#cache.delete(segment)
      this.#cache.set(segment, cached)
      return cached
    }
    const rows = await this.#read(segment)
    this.#cache.set(segment, rows)
    this.#cacheBytes += rows.byteLength
    for (const [oldest, { byteLength }] of this.#cache) {
      if (this.#cacheBytes <= CACHE_BYTES_MAX || oldest === segment) break
      this.#cache.delete(oldest)
      this.#cacheBytes -= byteLength
    }
    return rows
  }

  async #read(segment: number): Promise<DataView> {
    const path = join(this.#folder, segmentName(segment))
    const file = await this.#files.open(path, 'read')
    try {
      const reading = readHeader(asBuffer(await file.read(0, HEADER_BYTES_MAX)))
      if (reading.kind !== 'header') throw new Error('its header does not check out')
      const sidecar = await this.#sidecar(segment)
      const rows = sidecar && checkedRows(sidecar, reading.header, await file.size())
      return rows ?? (await this.#readThrough(file, reading))
    } finally {
      await file.close()
    }
  }

  async #sidecar(segment: number): Promise<Buffer | undefined> {
    const path = join(this.#folder, sidecarName(segment))
    if (!(await this.#files.exists(path))) return undefined
    return asBuffer(await readFile(this.#files, path))
  }

  async #readThrough(
    file: OpenFile,
    reading: HeaderReading & { kind: 'header' },
  ): Promise<DataView> {
    const rows = new SidecarRows()
    const { segment, base } = reading.header
    const bytes = asBuffer(await file.read(0, await file.size()))
    const start = { startByte: reading.endByte, k: reading.k, nextOffset: base }
    scanSegment(bytes, start, Number.POSITIVE_INFINITY, (record) => {
      const head = readHead(bytes, record.startByte, record.endByte)
      const key = this.#memory.key(head.tenantNo, head.sourceNo, head.batchId)
      rows.add({ ...head, ...record, segment, key })
    })
    return rows.view()
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

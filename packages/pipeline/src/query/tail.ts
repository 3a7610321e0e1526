/**
 * The log's tail of a tenant as files a query can read: `DIR/tails/<tenantNo>-<n>.ndjson`.
 *
 * This is how an acknowledged event is in the very next answer without a small file in the lake: the
 * query reads the lake's snapshot and, from exactly the offset in that snapshot, these lines. The
 * parent extracts them, so that no query process is ever given a segment with other tenants' bytes.
 *
 * A tail grows while its tenant asks: each question adds what came since the last one. Bytes go to the
 * end of the newest file only while nobody reads it; otherwise a further file is begun, so that no
 * reader ever meets half a line. When the lake has moved past most of it, or it is too many files,
 * it is begun again. What is left over from an earlier process is deleted at the first question.
 *
 * Invariant: a tail that says [fromOffset, nextOffset) holds every durable record of its tenant in that
 * range which can be read, each once, as whole verified lines, and nothing else. What is damaged is passed
 * over and counted by the log.
 */
import type { FileSystem, OpenFile } from '../kit/files.ts'
import { formsIn, NO_FORMS, type RecordForms } from '../lake/record-forms.ts'
import type { LogReader } from '../log/event-log.ts'

export interface TailLimits {
  /** One tenant's tail. A tenant flushes at 64 MiB: above this delivery stands still. */
  readonly tenantBytesMax: number
  /** All tails together: they are copies, and the disk is the log's first. */
  readonly bytesMax: number
  /** Bytes below the lake's offset that are worth reading over rather than beginning again. */
  readonly staleBytesMax: number
  /** Each is opened by the query and named in its settings. */
  readonly fileCountMax: number
  /** A tail nobody asked for this long is deleted. */
  readonly idleMs: number
}

export const TAIL_LIMITS: TailLimits = {
  tenantBytesMax: 256 * 1_048_576,
  bytesMax: 1_024 * 1_048_576,
  staleBytesMax: 8 * 1_048_576,
  fileCountMax: 16,
  idleMs: 60_000,
}
/** Bytes taken from the log at a time: what one extension holds in memory. */
const READ_BYTES = 4 * 1_048_576

/** More waits in the log than a query may read: an expected outcome, answered with 503. */
export class TailTooLong extends Error {
  override readonly name = 'TailTooLong'
}

export interface Tail {
  /** Unchanged until `release`. Empty when nothing of the tenant waits. */
  readonly files: readonly string[]
  /** What the files hold. */
  readonly forms: RecordForms
  readonly recordCount: number
  readonly bytes: number
  /** Must be called when the query is over. Idempotent. */
  release(): void
}

interface TailFile {
  readonly path: string
  bytes: number
  readerCount: number
}

interface State {
  readonly tenantNo: number
  readonly fromOffset: number
  nextOffset: number
  bytes: number
  forms: RecordForms
  readonly files: TailFile[]
  /** No longer handed out; each file goes with its last reader. */
  retired: boolean
  idle: NodeJS.Timeout | undefined
}

export class Tails {
  readonly #folder: string
  readonly #files: FileSystem
  readonly #log: LogReader
  readonly #limits: TailLimits
  readonly #states = new Map<number, State>()
  /** The last thing under way for a tenant: extensions of one tail are one after the other. */
  readonly #turns = new Map<number, Promise<unknown>>()
  readonly #removals = new Set<Promise<void>>()
  #prepared: Promise<void> | undefined
  #fileNo = 0

  constructor(folder: string, files: FileSystem, log: LogReader, limits = TAIL_LIMITS) {
    this.#folder = folder
    this.#files = files
    this.#log = log
    this.#limits = limits
  }

  /**
   * The tenant's records in [fromOffset, end) and perhaps more on either side, where `end` is
   * `log.end()` before the call. Rejects with TailTooLong, or as `LogReader.read` does.
   */
  acquire(tenantNo: number, fromOffset: number): Promise<Tail> {
    const endOffset = this.#log.end()
    const before = this.#turns.get(tenantNo) ?? Promise.resolve()
    const turn = before.then(() => this.#acquire(tenantNo, fromOffset, endOffset))
    const settled = turn.catch(() => {})
    this.#turns.set(tenantNo, settled)
    void settled.then(() => {
      if (this.#turns.get(tenantNo) === settled) this.#turns.delete(tenantNo)
    })
    return turn
  }

  /** Forgets a tenant's tail, as when records of it were erased. Readers keep theirs to the end. */
  drop(tenantNo: number): void {
    const state = this.#states.get(tenantNo)
    if (state !== undefined) this.#retire(state)
  }

  /** Deletes every tail that nobody reads. */
  async close(): Promise<void> {
    await Promise.all(this.#turns.values())
    for (const state of [...this.#states.values()]) this.#retire(state)
    await Promise.all(this.#removals)
  }

  async #acquire(tenantNo: number, fromOffset: number, endOffset: number): Promise<Tail> {
    this.#prepared ??= this.#prepare()
    await this.#prepared
    const waiting = this.#log.pending(tenantNo, fromOffset)
    if (waiting.recordCount === 0) return NOTHING
    this.#bound(tenantNo, waiting.bytes)
    const state = await this.#reaching(tenantNo, fromOffset, endOffset, waiting.bytes)
    const files = [...state.files]
    for (const file of files) file.readerCount++
    let released = false
    const release = () => {
      if (released) return
      released = true
      for (const file of files) file.readerCount--
      this.#released(state)
    }
    const { recordCount, bytes } = waiting
    const paths = files.map((file) => file.path)
    return { files: paths, forms: state.forms, recordCount, bytes, release }
  }

  /** A tail up to `endOffset`. One whose files were deleted under us is begun again, once. */
  async #reaching(
    tenantNo: number,
    fromOffset: number,
    endOffset: number,
    waitingBytes: number,
  ): Promise<State> {
    for (let isAgain = false; ; isAgain = true) {
      const state = this.#usable(tenantNo, fromOffset, waitingBytes)
      clearTimeout(state.idle)
      try {
        await this.#extend(state, endOffset)
        const stand = await Promise.all(state.files.map((file) => this.#files.exists(file.path)))
        if (stand.every(Boolean)) return state
        throw Object.assign(new Error('a tail was deleted'), { code: 'ENOENT' })
      } catch (error) {
        // Half a write may stand at the end: the file is not handed out again.
        this.#retire(state)
        if (isAgain || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
        await this.#files.makeFolder(this.#folder)
      }
    }
  }

  /** The tail to go on with, or a new one. */
  #usable(tenantNo: number, fromOffset: number, waitingBytes: number): State {
    const state = this.#states.get(tenantNo)
    if (state !== undefined) {
      const staleBytes = state.bytes - waitingBytes
      const reaches = state.fromOffset <= fromOffset
      const worthIt = staleBytes <= Math.max(this.#limits.staleBytesMax, waitingBytes)
      if (reaches && worthIt && state.files.length < this.#limits.fileCountMax) return state
      this.#retire(state)
    }
    const next: State = {
      tenantNo,
      fromOffset,
      nextOffset: fromOffset,
      bytes: 0,
      forms: NO_FORMS,
      files: [],
      retired: false,
      idle: undefined,
    }
    this.#states.set(tenantNo, next)
    return next
  }

  async #extend(state: State, endOffset: number): Promise<void> {
    let file: OpenFile | undefined
    try {
      while (state.nextOffset < endOffset) {
        const range = await this.#log.read(state.tenantNo, state.nextOffset, READ_BYTES)
        if (range === undefined) break
        file ??= await this.#openLast(state)
        const last = state.files.at(-1)!
        await file.write(range.lines, last.bytes)
        last.bytes += range.lines.byteLength
        state.bytes += range.lines.byteLength
        state.forms = formsIn(range.lines, state.forms)
        state.nextOffset = range.nextOffset
      }
    } finally {
      await file?.close()
    }
    // Whatever was below `endOffset` was durable before it was read, so nothing can come in below it.
    state.nextOffset = Math.max(state.nextOffset, endOffset)
  }

  async #openLast(state: State): Promise<OpenFile> {
    const last = state.files.at(-1)
    if (last !== undefined && last.readerCount === 0) return this.#files.open(last.path, 'write')
    const path = `${this.#folder}/${state.tenantNo}-${++this.#fileNo}.ndjson`
    state.files.push({ path, bytes: 0, readerCount: 0 })
    return this.#files.open(path, 'create')
  }

  #bound(tenantNo: number, waitingBytes: number): void {
    if (waitingBytes > this.#limits.tenantBytesMax) {
      throw new TailTooLong(
        `${waitingBytes} bytes of events wait for delivery, a query reads ${this.#limits.tenantBytesMax}`,
      )
    }
    const others = [...this.#states.values()].filter((state) => state.tenantNo !== tenantNo)
    let bytes = waitingBytes + others.reduce((sum, state) => sum + state.bytes, 0)
    for (const state of others) {
      if (bytes <= this.#limits.bytesMax) return
      if (state.files.some((file) => file.readerCount > 0) || this.#turns.has(state.tenantNo))
        continue
      bytes -= state.bytes
      this.#retire(state)
    }
    if (bytes > this.#limits.bytesMax) {
      throw new TailTooLong(`the tails being read hold more than ${this.#limits.bytesMax} bytes`)
    }
  }

  #released(state: State): void {
    if (state.retired) {
      this.#removeUnread(state)
      return
    }
    if (state.files.some((file) => file.readerCount > 0)) return
    clearTimeout(state.idle)
    state.idle = setTimeout(() => this.#idle(state), this.#limits.idleMs)
    state.idle.unref()
  }

  #idle(state: State): void {
    if (this.#turns.has(state.tenantNo)) return
    if (state.files.every((file) => file.readerCount === 0)) this.#retire(state)
  }

  #retire(state: State): void {
    clearTimeout(state.idle)
    state.retired = true
    if (this.#states.get(state.tenantNo) === state) this.#states.delete(state.tenantNo)
    this.#removeUnread(state)
  }

  #removeUnread(state: State): void {
    for (const file of [...state.files]) {
      if (file.readerCount > 0) continue
      state.files.splice(state.files.indexOf(file), 1)
      // A copy that cannot be deleted costs its bytes until the next start; nothing depends on it.
      const removal = this.#files.remove(file.path).catch(() => {})
      this.#removals.add(removal)
      void removal.then(() => this.#removals.delete(removal))
    }
  }

  async #prepare(): Promise<void> {
    await this.#files.makeFolder(this.#folder)
    for (const name of await this.#files.list(this.#folder)) {
      if (/^\d+-\d+\.ndjson$/.test(name)) await this.#files.remove(`${this.#folder}/${name}`)
    }
  }
}

const NOTHING: Tail = {
  ...{ files: [], forms: NO_FORMS, recordCount: 0, bytes: 0 },
  release: () => {},
}

/**
 * Sends a file of events, one JSON event a line, through the HTTP door.
 *
 * Lines are put into batches by a fixed rule, and a batch's id is made of the file's identity and the
 * batch's place in it. So a file may be sent again, whole or from anywhere: what the server has is
 * recognised (`duplicate`) and changes nothing. Progress is kept beside the file, so that an import that
 * was stopped goes on where the last acknowledged batch ended.
 *
 * Lines are passed on as they are, never parsed. If the server finds a batch malformed, its lines go one by
 * one, and the broken ones are reported with their line numbers.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open, readFile, rm, writeFile } from 'node:fs/promises'
import { limits } from '@millrace/protocol'
import { errnoOf, MillraceError } from '../kit/errors.ts'
import { type Connection, RefusedError } from './connection.ts'

/** Leaves room in a body for the envelope around the lines. */
const BATCH_BYTES_MAX = limits.BODY_BYTES_MAX - 4_096
const READ_BYTES = 4 << 20
/** Requests under way at once: enough to fill group commits, few enough to be a polite neighbour. */
const IN_FLIGHT_MAX = 6
const ATTEMPTS_MAX = 60
const RETRY_MS = 1_000
/** Malformed lines listed by number; the rest are counted. */
const REPORTED_MAX = 20

export interface ImportOptions {
  readonly file: string
  /** Keep the times as they are (a server credential may); false: times are those of live traffic. */
  readonly historical: boolean
  readonly source?: string | undefined
  readonly onProgress: (state: ImportState & { readonly totalBytes: number }) => void
}

export interface ImportState {
  readonly bytes: number
  readonly accepted: number
  readonly rejected: number
  /** Events that the server had already. */
  readonly duplicate: number
  readonly malformed: readonly number[]
  readonly malformedCount: number
}

type Counts = Omit<ImportState, 'bytes'>

const NOTHING: Counts = { accepted: 0, rejected: 0, duplicate: 0, malformed: [], malformedCount: 0 }

export interface Chunk {
  readonly startByte: number
  readonly endByte: number
  readonly firstLine: number
  readonly lines: readonly Buffer[]
}

interface Checkpoint {
  readonly identity: string
  readonly bytes: number
  readonly lines: number
  readonly counts: Counts
}

export async function importFile(
  connection: Connection,
  options: ImportOptions,
): Promise<ImportState> {
  const handle = await openFile(options.file)
  try {
    const facts = await handle.stat()
    if (!facts.isFile()) throw unreadable(options.file, 'it is not a file')
    const totalBytes = facts.size
    const identity = await fileIdentity(handle, totalBytes, options)
    const checkpointFile = `${options.file}.import-state.json`
    const resumed = await readCheckpoint(checkpointFile, identity)
    let counts = resumed?.counts ?? NOTHING
    const pending: { chunk: Chunk; outcome: Promise<Counts> }[] = []
    const settleFirst = async () => {
      const first = pending[0]
      if (first === undefined) return
      counts = add(counts, await first.outcome)
      pending.shift()
      const { endByte, firstLine, lines } = first.chunk
      await writeFile(
        checkpointFile,
        JSON.stringify({
          identity,
          bytes: endByte,
          lines: firstLine + lines.length - 1,
          counts,
        } satisfies Checkpoint),
      )
      options.onProgress({ ...counts, bytes: endByte, totalBytes })
    }
    for await (const chunk of readChunks(handle, resumed?.bytes ?? 0, resumed?.lines ?? 0)) {
      const outcome = sendChunk(connection, options, identity, chunk)
      // A failure is met when its turn comes; until then it must not count as unhandled.
      outcome.catch(() => {})
      pending.push({ chunk, outcome })
      if (pending.length >= IN_FLIGHT_MAX) await settleFirst()
    }
    while (pending.length > 0) await settleFirst()
    await rm(checkpointFile, { force: true })
    return { ...counts, bytes: totalBytes }
  } finally {
    await handle.close()
  }
}

async function openFile(file: string): Promise<FileHandle> {
  try {
    return await open(file)
  } catch (error) {
    throw unreadable(file, errnoOf(error) ?? String(error), error)
  }
}

function unreadable(file: string, why: string, cause?: unknown): MillraceError {
  return new MillraceError('bad_input', `${file} cannot be read: ${why}`, {
    cause,
    hint: 'Name a file of events, one JSON object a line.',
  })
}

/** Of the content's ends and size, not of the name: a moved file is the same file. */
async function fileIdentity(
  handle: FileHandle,
  size: number,
  options: ImportOptions,
): Promise<string> {
  const hash = createHash('sha256').update(`${size} ${options.historical} ${options.source ?? ''}`)
  for (const position of [0, Math.max(0, size - READ_BYTES)]) {
    const { buffer, bytesRead } = await handle.read(
      Buffer.alloc(READ_BYTES),
      0,
      READ_BYTES,
      position,
    )
    hash.update(buffer.subarray(0, bytesRead))
  }
  return hash.digest('hex').slice(0, 32)
}

async function readCheckpoint(file: string, identity: string): Promise<Checkpoint | undefined> {
  try {
    const checkpoint = JSON.parse(await readFile(file, 'utf8')) as Checkpoint
    return checkpoint.identity === identity ? checkpoint : undefined
  } catch {
    return undefined
  }
}

/** What `readChunks` needs of a file. */
export type Readable = Pick<FileHandle, 'read'>

/** Batches from a byte on (which begins a line): up to 500 lines and what a body holds. */
export async function* readChunks(
  handle: Readable,
  fromByte: number,
  fromLine: number,
): AsyncIterable<Chunk> {
  let rest: Buffer = Buffer.alloc(0)
  let restByte = fromByte
  let line = fromLine
  for (let ended = false; !ended; ) {
    const { buffer, bytesRead } = await handle.read(
      Buffer.allocUnsafe(READ_BYTES),
      0,
      READ_BYTES,
      restByte + rest.length,
    )
    ended = bytesRead === 0
    rest = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
    if (rest.length > 2 * READ_BYTES)
      throw new MillraceError('bad_input', `line ${line + 1} is longer than ${READ_BYTES} bytes`)
    for (;;) {
      const chunk = cutChunk(rest, restByte, line + 1, ended)
      if (chunk === undefined) break
      rest = rest.subarray(chunk.endByte - restByte)
      restByte = chunk.endByte
      line += chunk.lines.length
      yield chunk
    }
  }
}

/** Undefined while more bytes could still join the batch. */
function cutChunk(
  bytes: Buffer,
  startByte: number,
  firstLine: number,
  ended: boolean,
): Chunk | undefined {
  const lines: Buffer[] = []
  let end = 0
  let size = 0
  while (lines.length < limits.EVENTS_PER_BATCH_MAX && end < bytes.length) {
    const newline = bytes.indexOf(10, end)
    if (newline < 0 && !ended) return undefined
    const next = newline < 0 ? bytes.length : newline
    if (lines.length > 0 && size + next - end > BATCH_BYTES_MAX) break
    lines.push(bytes.subarray(end, next))
    size += next - end + 1
    end = newline < 0 ? bytes.length : newline + 1
  }
  const full = lines.length === limits.EVENTS_PER_BATCH_MAX || end < bytes.length
  return lines.length === 0 || (!full && !ended)
    ? undefined
    : { startByte, endByte: startByte + end, firstLine, lines }
}

async function sendChunk(
  connection: Connection,
  options: ImportOptions,
  identity: string,
  chunk: Chunk,
): Promise<Counts> {
  const lines = chunk.lines
    .map((line, at) => ({ line, number: chunk.firstLine + at }))
    .filter(({ line }) => line.some((byte) => byte > 32))
  return sendOrHalve(connection, options, `import-${identity}-${chunk.startByte}`, lines)
}

interface Line {
  readonly line: Buffer
  readonly number: number
}

/** Some line breaks the whole: halves, under ids of their own, until it stands alone. */
async function sendOrHalve(
  connection: Connection,
  options: ImportOptions,
  batchId: string,
  lines: readonly Line[],
): Promise<Counts> {
  try {
    const bytes = lines.map(({ line }) => line)
    return await sendLines(connection, options, batchId, bytes)
  } catch (error) {
    if (!isRefusedWhole(error)) throw error
  }
  const [first] = lines
  if (lines.length === 1) return { ...NOTHING, malformed: [first!.number], malformedCount: 1 }
  let counts = NOTHING
  const middle = lines.length >> 1
  for (const half of [lines.slice(0, middle), lines.slice(middle)]) {
    const id = `${batchId.replace(/_.*$/, '')}_${half[0]!.number}-${half.at(-1)!.number}`
    counts = add(counts, await sendOrHalve(connection, options, id, half))
  }
  return counts
}

/** The body as such is to blame: not JSON, not UTF-8, no envelope any more, too large. */
function isRefusedWhole(error: unknown): boolean {
  return error instanceof RefusedError && (error.status === 400 || error.status === 413)
}

async function sendLines(
  connection: Connection,
  options: ImportOptions,
  batchId: string,
  lines: readonly Buffer[],
): Promise<Counts> {
  const head = `{"batchId":"${batchId}"${options.historical ? ',"historical":true' : ''},"events":[`
  const parts: Buffer[] = [Buffer.from(head)]
  for (const [at, line] of lines.entries()) {
    if (at > 0) parts.push(Buffer.from(','))
    parts.push(line)
  }
  parts.push(Buffer.from(']}'))
  const body = Buffer.concat(parts)
  const query = options.source === undefined ? '' : `?source=${encodeURIComponent(options.source)}`
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await connection.call('POST', `/v1/events${query}`, body)
      const { accepted, rejected, duplicate } = (await response.json()) as {
        accepted: number
        rejected: unknown[]
        duplicate: boolean
      }
      return duplicate
        ? { ...NOTHING, duplicate: lines.length }
        : { ...NOTHING, accepted, rejected: rejected.length }
    } catch (error) {
      const again =
        error instanceof RefusedError
          ? error.status === 429 || error.status >= 500
          : error instanceof MillraceError && error.code === 'not_running'
      if (!again || attempt >= ATTEMPTS_MAX) throw error
      const askedMs = error instanceof RefusedError ? error.retryAfterMs : 0
      await new Promise((resolve) => setTimeout(resolve, Math.max(RETRY_MS, askedMs)))
    }
  }
}

function add(left: Counts, right: Counts): Counts {
  return {
    accepted: left.accepted + right.accepted,
    rejected: left.rejected + right.rejected,
    duplicate: left.duplicate + right.duplicate,
    malformed: [...left.malformed, ...right.malformed].slice(0, REPORTED_MAX),
    malformedCount: left.malformedCount + right.malformedCount,
  }
}

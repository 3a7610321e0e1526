/**
 * Reading one tenant's records by a plan made elsewhere.
 *
 * Only the process that writes the log knows what is durable. It makes the plan, which is plain
 * JSON; any process that can open the files carries it out, while the log goes on being written.
 * Each piece is read with the eleven bytes before it, which hold the `k` its first line is chained
 * to (or carries it, where damage has taken them); every line is checked for its `k`, its offset and its tenant, so that neither a flipped bit
 * nor a wrong index can serve what is not the tenant's.
 */
import { errnoOf, MillraceError } from '../kit/errors.ts'
import type { FileSystem, OpenFile } from '../kit/files.ts'
import { isUnreadableBytes } from './damage.ts'
import type { RecordRange } from './event-log.ts'
import { checkLine, LINE_END_BYTES, lineEndCheck } from './record.ts'
import type { Piece } from './tenant-index.ts'

export interface PlannedPiece extends Piece {
  /** Path of the segment. */
  readonly path: string
}

/** Node's pool has four threads; twice that keeps them busy while records of others lie between. */
const READS_AT_ONCE = 8

/** Whole records of one tenant, all durable when the plan was made. Survives JSON. */
export interface ReadPlan {
  readonly logId: string
  readonly tenantNo: number
  readonly fromOffset: number
  readonly pieces: readonly PlannedPiece[]
  readonly bytes: number
  readonly recordCount: number
  readonly eventCount: number
  /** Of this tenant in [fromOffset, nextOffset): damaged, and in no piece. */
  readonly skippedRecordCount: number
  readonly skippedEventCount: number
  /** Read on from here. */
  readonly nextOffset: number
}

/** A piece that does not check out, or that the disk cannot read: its segment wants an inspection. */
export class UnreadablePiece extends MillraceError {
  readonly segment: number

  constructor(segment: number, message: string, cause?: unknown) {
    super('data_damaged', message, cause === undefined ? {} : { cause })
    this.segment = segment
  }
}

/**
 * Reads what is planned, into memory at once: `plan.bytes`. Rejects with UnreadablePiece
 * (`data_damaged`) when a check fails or bytes are gone, and with `data_unreadable` when a segment
 * cannot be opened or read for another reason.
 */
export async function readPlanned(files: FileSystem, plan: ReadPlan): Promise<RecordRange> {
  const parts: Uint8Array[] = []
  const open = new Map<string, OpenFile>()
  try {
    for (const piece of plan.pieces) {
      const { path } = piece
      if (open.has(path)) continue
      open.set(path, await files.open(path, 'read').catch((error) => rethrow(piece, error)))
    }
    for (let from = 0; from < plan.pieces.length; from += READS_AT_ONCE) {
      const some = plan.pieces.slice(from, from + READS_AT_ONCE).map(async (piece) => {
        const start = piece.startByte - LINE_END_BYTES
        const reading = open.get(piece.path)!.read(start, piece.endByte - start)
        const bytes = await reading.catch((error) => rethrow(piece, error))
        return verified(plan.tenantNo, piece, bytes)
      })
      // All of them end before the files are closed, whichever fails.
      for (const ended of await Promise.allSettled(some)) {
        if (ended.status === 'rejected') throw ended.reason
        parts.push(ended.value)
      }
    }
  } catch (error) {
    if (error instanceof MillraceError) throw error
    const message = `cannot read the log: ${errnoOf(error) ?? error}`
    throw new MillraceError('data_unreadable', message, { cause: error })
  } finally {
    for (const file of open.values()) await file.close()
  }
  return {
    lines: parts.length === 1 ? parts[0]! : Buffer.concat(parts, plan.bytes),
    recordCount: plan.recordCount,
    eventCount: plan.eventCount,
    nextOffset: plan.nextOffset,
  }
}

/** A segment that is gone, or that the disk cannot read, is damage; the rest is not about it. */
function rethrow(piece: PlannedPiece, error: unknown): never {
  if (!isUnreadableBytes(error) && errnoOf(error) !== 'ENOENT') throw error
  throw new UnreadablePiece(piece.segment, `cannot read ${piece.path}: ${errnoOf(error)}`, error)
}

/** The lines of a piece without the bytes before them, or throws. */
function verified(tenantNo: number, piece: PlannedPiece, read: Uint8Array): Uint8Array {
  const bytes = Buffer.from(read.buffer, read.byteOffset, read.byteLength)
  const pieceStart = piece.startByte - LINE_END_BYTES
  const before = bytes.length < LINE_END_BYTES ? undefined : lineEndCheck(bytes, LINE_END_BYTES)
  let k = piece.seed ?? before
  let start = LINE_END_BYTES
  let offset = piece.firstOffset
  while (k !== undefined && offset <= piece.lastOffset) {
    const end = bytes.indexOf('\n', start, 'latin1') + 1
    k = end === 0 ? undefined : checkLine(bytes, start, end, k)
    const expected = `{"o":${offset},"t":${tenantNo},`
    if (bytes.toString('latin1', start, start + expected.length) !== expected) k = undefined
    if (k === undefined) break
    start = end
    offset++
  }
  if (k === undefined || start !== piece.endByte - pieceStart) {
    const place = `${piece.path} at byte ${pieceStart + start}`
    const message = `the record with offset ${offset} is damaged: ${place}`
    throw new UnreadablePiece(piece.segment, message)
  }
  return bytes.subarray(LINE_END_BYTES)
}

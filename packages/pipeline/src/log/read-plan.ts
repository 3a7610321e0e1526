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
/** A piece up to this is read with the end of the line before it; a larger one to where it shall lie. */
const SMALL_PIECE_BYTES = 65_536

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

/** Gives room for so many bytes. */
export type Memory = (bytes: number) => Buffer

/**
 * Gives the same room again and again, larger when it must be: what lies in it is good until the next
 * call. Pages fresh from the kernel cost a reader more than the bytes that it reads into them.
 */
export function reusedMemory(): Memory {
  let room = Buffer.alloc(0)
  return (bytes) => {
    if (room.length < bytes) room = Buffer.allocUnsafeSlow(bytes)
    return room.subarray(0, bytes)
  }
}

/**
 * Reads what is planned, into memory at once: `plan.bytes`. Rejects with UnreadablePiece
 * (`data_damaged`) when a check fails or bytes are gone, and with `data_unreadable` when a segment
 * cannot be opened or read for another reason.
 */
export async function readPlanned(
  files: FileSystem,
  plan: ReadPlan,
  memory: Memory = Buffer.allocUnsafe,
): Promise<RecordRange> {
  const lines = memory(plan.pieces.reduce((sum, piece) => sum + lengthOf(piece), 0))
  const open = new Map<string, OpenFile>()
  let at = 0
  try {
    for (const piece of plan.pieces) {
      const { path } = piece
      if (open.has(path)) continue
      open.set(path, await files.open(path, 'read').catch((error) => rethrow(piece, error)))
    }
    for (let from = 0; from < plan.pieces.length; from += READS_AT_ONCE) {
      const some = plan.pieces.slice(from, from + READS_AT_ONCE).map((piece) => {
        const place = lines.subarray(at, at + lengthOf(piece))
        at += place.length
        return readPiece(open.get(piece.path)!, piece, place, plan.tenantNo)
      })
      // All of them end before the files are closed, whichever fails.
      for (const ended of await Promise.allSettled(some)) {
        if (ended.status === 'rejected') throw ended.reason
      }
    }
  } catch (error) {
    if (error instanceof MillraceError) throw error
    const message = `cannot read the log: ${errnoOf(error) ?? error}`
    throw new MillraceError('data_unreadable', message, { cause: error })
  } finally {
    for (const file of open.values()) await file.close()
  }
  const { recordCount, eventCount, nextOffset } = plan
  return { lines, recordCount, eventCount, nextOffset }
}

function lengthOf(piece: PlannedPiece): number {
  return piece.endByte - piece.startByte
}

/** The piece's lines into `place`, each checked; the first against the end of the line before it. */
async function readPiece(
  file: OpenFile,
  piece: PlannedPiece,
  place: Buffer,
  tenantNo: number,
): Promise<void> {
  try {
    let { seed } = piece
    let bytes: Uint8Array
    if (place.length <= SMALL_PIECE_BYTES) {
      const both = await file.read(piece.startByte - LINE_END_BYTES, place.length + LINE_END_BYTES)
      if (both.length >= LINE_END_BYTES) seed ??= lineEndCheck(both, LINE_END_BYTES)
      bytes = both.subarray(LINE_END_BYTES)
    } else {
      const before = await file.read(piece.startByte - LINE_END_BYTES, LINE_END_BYTES)
      if (before.length === LINE_END_BYTES) seed ??= lineEndCheck(before, LINE_END_BYTES)
      bytes = await file.read(piece.startByte, place.length, place)
    }
    if (bytes.buffer !== place.buffer || bytes.byteOffset !== place.byteOffset) place.set(bytes)
    expectVerified(tenantNo, piece, place.subarray(0, bytes.length), seed)
  } catch (error) {
    rethrow(piece, error)
  }
}

/** A segment that is gone, or that the disk cannot read, is damage; the rest is not about it. */
function rethrow(piece: PlannedPiece, error: unknown): never {
  if (!isUnreadableBytes(error) && errnoOf(error) !== 'ENOENT') throw error
  throw new UnreadablePiece(piece.segment, `cannot read ${piece.path}: ${errnoOf(error)}`, error)
}

function expectVerified(
  tenantNo: number,
  piece: PlannedPiece,
  bytes: Buffer,
  seed: number | undefined,
): void {
  let k = seed
  let start = 0
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
  if (k === undefined || start !== lengthOf(piece)) {
    const place = `${piece.path} at byte ${piece.startByte + start}`
    const message = `the record with offset ${offset} is damaged: ${place}`
    throw new UnreadablePiece(piece.segment, message)
  }
}

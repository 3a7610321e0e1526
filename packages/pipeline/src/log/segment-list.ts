/**
 * What lies in a log's folder before anything is changed: which segments, whose, from which offset.
 */
import { join } from 'node:path'
import { MillraceError } from '../kit/errors.ts'
import { type FileSystem, readFile } from '../kit/files.ts'
import { isUnreadableBytes } from './damage.ts'
import {
  HEADER_BYTES_MAX,
  type HeaderReading,
  LOG_VERSION,
  readHeader,
  segmentName,
  segmentOfName,
  TORN_HEADER_BYTES_MAX,
} from './segment.ts'
import { readLoneSidecar, sidecarName } from './sidecar.ts'

export type LoneSidecar = NonNullable<ReturnType<typeof readLoneSidecar>>

export interface FoundSegment {
  readonly segment: number
  /** Undefined when none checks out, or the file is missing. */
  readonly header: (HeaderReading & { kind: 'header' }) | undefined
  /** What the sidecar says by itself; undefined without one that checks out. */
  readonly sidecar: () => Promise<LoneSidecar | undefined>
  /** Offset of its first record, as header or sidecar say. */
  readonly base: number | undefined
}

export interface SegmentList {
  /** Ascending; one whose file is gone is here if its sidecar is not. */
  readonly found: readonly FoundSegment[]
  /** A last segment whose making was cut short: nothing is in it. */
  readonly torn: { readonly path: string; readonly bytes: number } | undefined
  /** Undefined when neither a header nor a sidecar tells. */
  readonly logId: string | undefined
}

interface Place {
  readonly folder: string
  readonly files: FileSystem
}

/** Rejects with `data_newer`, or with `data_damaged` when the segments are of different logs. */
export async function listSegments(at: Place): Promise<SegmentList> {
  const names = await at.files.list(at.folder)
  const segments = names.flatMap((name) => segmentOfName(name) ?? [])
  const sidecars = new Set(names.filter((name) => name.endsWith('.index')))
  const torn = await tornLast(at, segments, sidecars)
  if (torn !== undefined) segments.pop()
  const numbers = new Set(segments)
  for (const name of sidecars) {
    const segment = segmentOfName(name.replace(/index$/, 'ndjson'))
    if (segment !== undefined && segment > (segments[0] ?? segment)) numbers.add(segment)
  }
  const found: FoundSegment[] = []
  let logId: string | undefined
  for (const segment of [...numbers].sort((left, right) => left - right)) {
    const header = await headerOf(at, segment)
    const sidecar = () => sidecarOf(at, segment, sidecars)
    const lone = header === undefined ? await sidecar() : undefined
    const facts = header?.header ?? lone?.header
    if (facts !== undefined) {
      logId ??= facts.logId
      if (facts.logId !== logId) {
        throw new MillraceError(
          'data_damaged',
          `${segmentName(segment)} is of log ${facts.logId}, others are of log ${logId}`,
        )
      }
    }
    found.push({ segment, header, sidecar, base: facts?.base })
  }
  return { found, torn, logId }
}

/**
 * The last segment, if it is only the torn header of one that was being made. A sidecar of the one
 * before is written later than that, so beside it such a file is damage.
 */
async function tornLast(at: Place, segments: readonly number[], sidecars: ReadonlySet<string>) {
  const last = segments.at(-1)
  if (last === undefined || sidecars.has(sidecarName(last - 1))) return undefined
  const path = join(at.folder, segmentName(last))
  const bytes = await startOf(at, path)
  if (bytes === undefined || bytes.length > TORN_HEADER_BYTES_MAX) return undefined
  if (readHeader(bytes).kind !== 'bad') return undefined
  if (last !== 0 && segments.length === 1) {
    const message = `${segmentName(last)} stands alone, and its header is not whole`
    throw new MillraceError('data_damaged', `${message}: nothing tells where the offsets stand`)
  }
  return { path, bytes: bytes.length }
}

async function headerOf(at: Place, segment: number): Promise<FoundSegment['header']> {
  const path = join(at.folder, segmentName(segment))
  const bytes = (await at.files.exists(path)) ? await startOf(at, path) : undefined
  const reading = bytes === undefined ? undefined : readHeader(bytes)
  if (reading?.kind === 'newer') {
    const message = `the log has format ${reading.version}, this version reads ${LOG_VERSION}`
    throw new MillraceError('data_newer', message)
  }
  // A file under another's name says nothing of this one.
  return reading?.kind === 'header' && reading.header.segment === segment ? reading : undefined
}

/** One byte more than a header can have; undefined when the disk cannot read them. */
async function startOf({ files }: Place, path: string): Promise<Buffer | undefined> {
  const file = await files.open(path, 'read')
  try {
    return asBuffer(await file.read(0, HEADER_BYTES_MAX + 1))
  } catch (error) {
    if (isUnreadableBytes(error)) return undefined
    throw error
  } finally {
    await file.close()
  }
}

async function sidecarOf(at: Place, segment: number, sidecars: ReadonlySet<string>) {
  const name = sidecarName(segment)
  if (!sidecars.has(name)) return undefined
  const bytes = await readFile(at.files, join(at.folder, name)).catch((error) => {
    if (isUnreadableBytes(error)) return undefined
    throw error
  })
  const sidecar = bytes && readLoneSidecar(asBuffer(bytes))
  return sidecar?.header.segment === segment ? sidecar : undefined
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

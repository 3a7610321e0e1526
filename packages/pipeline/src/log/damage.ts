/**
 * What is known of damage to the log: reports for people, and counts.
 *
 * Damage is never a reason to stop, to delete or to renumber: it is told, kept in the quarantine
 * (quarantine.ts), and everything around it is served.
 */
import { errnoOf } from '../kit/errors.ts'
import type { FileSystem, OpenFile } from '../kit/files.ts'
import type { DamagedRange } from './segment.ts'

export interface DamageReport {
  readonly segment: number
  /** Bytes that do not check out, and the offsets missing with them: of a missing file, offsets. */
  readonly damaged: readonly DamagedRange[]
  /** Records that cannot be served, as far as the offsets say: at most so many. */
  readonly recordCount: number
  /** Whose they are, as far as the index or a sidecar knows. */
  readonly tenants: readonly DamagedTenant[]
  /** The disk could not read some bytes; they are tried again at the next start. */
  readonly isUnreadable: boolean
  /** The second name that the segment has in the quarantine; undefined if there is no file. */
  readonly quarantined: string | undefined
  /** Why the quarantine could not be written. */
  readonly fault?: unknown
}

export interface DamagedTenant {
  readonly tenantNo: number
  readonly recordCount: number
  readonly eventCount: number
}

/** Sums up rows that cannot be served, tenant by tenant. */
export function tenantsOf(
  rows: readonly { readonly tenantNo: number; readonly acceptedCount: number }[],
): DamagedTenant[] {
  const sums = new Map<number, DamagedTenant>()
  for (const { tenantNo, acceptedCount } of rows) {
    const { recordCount, eventCount } = sums.get(tenantNo) ?? { recordCount: 0, eventCount: 0 }
    const sum = { recordCount: recordCount + 1, eventCount: eventCount + acceptedCount }
    sums.set(tenantNo, { tenantNo, ...sum })
  }
  return [...sums.values()]
}

/** What a failing disk gives or refuses as one piece. */
const BLOCK_BYTES = 4_096

export interface ReadSegment {
  readonly bytes: Buffer
  /** Some bytes could not be read and are zeros here. */
  readonly isUnreadable: boolean
}

/**
 * Reads a segment up to `endByte`, or all of it; what the disk cannot read is zeros. Undefined when
 * the file is not there. Other errors are not about its bytes, and are thrown.
 */
export async function readSegment(
  files: FileSystem,
  path: string,
  endByte?: number,
): Promise<ReadSegment | undefined> {
  const file = await files.open(path, 'read').catch((error) => {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) return undefined
  try {
    const size = Math.min(await file.size(), endByte ?? Number.MAX_SAFE_INTEGER)
    const whole = await file.read(0, size).catch((error) => {
      if (isUnreadableBytes(error)) return undefined
      throw error
    })
    if (whole === undefined) return { bytes: await readAround(file, size), isUnreadable: true }
    const bytes = Buffer.from(whole.buffer, whole.byteOffset, whole.byteLength)
    return { bytes, isUnreadable: false }
  } finally {
    await file.close()
  }
}

/** Halves what cannot be read until single blocks are left out. */
async function readAround(file: OpenFile, size: number): Promise<Buffer> {
  const bytes = Buffer.alloc(size)
  const readInto = async (from: number, to: number): Promise<void> => {
    try {
      bytes.set(await file.read(from, to - from), from)
    } catch (error) {
      if (!isUnreadableBytes(error)) throw error
      if (to - from <= BLOCK_BYTES) return
      const middle = from + Math.ceil((to - from) / BLOCK_BYTES / 2) * BLOCK_BYTES
      await readInto(from, middle)
      await readInto(middle, to)
    }
  }
  await readInto(0, size)
  return bytes
}

/** The disk has the file and cannot give its bytes. */
export function isUnreadableBytes(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'EIO' || errno === 'ESTALE'
}

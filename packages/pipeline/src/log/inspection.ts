/**
 * Looks through one segment of a log that is being served, after a reader met what does not check
 * out: whatever is good in it stays served, the rest is marked in the index and told.
 */
import { join } from 'node:path'
import type { Clock } from '../kit/clock.ts'
import type { FileSystem } from '../kit/files.ts'
import { type DamageReport, readSegment, tenantsOf } from './damage.ts'
import { quarantine } from './quarantine.ts'
import { readHeader, type ScannedRecord, scanSegment, segmentName } from './segment.ts'
import type { TenantIndex } from './tenant-index.ts'

interface Place {
  readonly folder: string
  readonly files: FileSystem
  readonly clock: Clock
  readonly index: TenantIndex
}

/**
 * Undefined when nothing is damaged that was not known to be. `endByte`: where the durable bytes of
 * the open segment end. Rejects when the file cannot be opened or read for a reason of its own.
 */
export async function inspectSegment(
  at: Place,
  segment: number,
  endByte: number | undefined,
): Promise<DamageReport | undefined> {
  const { folder, files, index } = at
  // Taken together with `endByte`: what is appended while the file is read is not looked at.
  const rows = index.inSegment(segment).sort((left, right) => left.offset - right.offset)
  const end = (rows.at(-1)?.offset ?? -1) + 1
  const read = await readSegment(files, join(folder, segmentName(segment)), endByte)
  const bytes = read?.bytes ?? Buffer.alloc(0)
  const header = readHeader(bytes)
  const firstOffset = rows[0]?.offset ?? 0
  const start =
    header.kind === 'header'
      ? { startByte: header.endByte, k: header.k, nextOffset: header.header.base }
      : { startByte: 0, k: 0, nextOffset: firstOffset }
  const good = new Map<number, ScannedRecord>()
  const scan = scanSegment(bytes, start, end, (record) => good.set(record.offset, record))

  // Rows may have been dropped, with their segment, while it was read.
  const known = index.inSegment(segment).filter(({ offset }) => offset < end)
  const lost = known.filter(({ offset }) => !good.has(offset))
  for (const { tenantNo, offset } of known) {
    const seed = good.get(offset)?.seed
    if (seed !== undefined) index.setSeed(tenantNo, offset, seed)
  }
  if (lost.every(({ isDamaged }) => isDamaged)) return undefined
  for (const { tenantNo, offset } of lost) index.markDamaged(tenantNo, offset)
  const damaged = [...scan.damaged]
  if (scan.nextOffset < end) {
    const endOfFile = Math.max(scan.endByte, bytes.length)
    const tail = { startByte: scan.endByte, endByte: endOfFile }
    damaged.push({ ...tail, firstOffset: scan.nextOffset, endOffset: end })
  }
  const isUnreadable = read?.isUnreadable ?? false
  const missing = damaged.reduce((sum, range) => sum + range.endOffset - range.firstOffset, 0)
  const recordCount = Math.max(missing, lost.length)
  return quarantine(at, { segment, damaged, recordCount, tenants: tenantsOf(lost), isUnreadable })
}

/**
 * What the log held in segments that are gone: `retired.json`, one line (docs/formats/log.md).
 *
 * It is on stable storage before the segments go, and names the first segment that stays. So it
 * counts exactly what is not there: a start that still finds older segments (the process died, or
 * the power went, between the two) removes them first and counts nothing twice.
 */
import { join } from 'node:path'
import { crc32 } from '../kit/checksum.ts'
import { MillraceError } from '../kit/errors.ts'
import { type FileSystem, readFile, replaceFile } from '../kit/files.ts'
import { checkLine, writeCheck } from './record.ts'
import { segmentOfName } from './segment.ts'
import type { TenantPart } from './segment-facts.ts'
import { segmentOfSidecar } from './sidecar.ts'

export interface Retired {
  readonly logId: string
  /** The first segment that stays. */
  readonly firstSegment: number
  readonly tenants: ReadonlyMap<number, TenantPart>
}

interface Folder {
  readonly folder: string
  readonly files: FileSystem
  readonly onFault?: ((error: unknown) => void) | undefined
}

const NAME = 'retired.json'
const VERSION = 1

/** `retired` and the segments that go now. */
export function retiredWith(
  retired: Pick<Retired, 'tenants'>,
  dropped: Iterable<{ tenants(): Iterable<TenantPart> }>,
): ReadonlyMap<number, TenantPart> {
  const tenants = new Map(retired.tenants)
  for (const segment of dropped) {
    for (const part of segment.tenants()) {
      const before = tenants.get(part.tenantNo)
      tenants.set(part.tenantNo, {
        tenantNo: part.tenantNo,
        nextOffset: part.nextOffset,
        recordCount: part.recordCount + (before?.recordCount ?? 0),
        acceptedCount: part.acceptedCount + (before?.acceptedCount ?? 0),
        rejectedCount: part.rejectedCount + (before?.rejectedCount ?? 0),
      })
    }
  }
  return tenants
}

/** Resolves when it is on stable storage. */
export async function writeRetired({ folder, files }: Folder, retired: Retired): Promise<void> {
  const rows = [...retired.tenants.values()].map((part) => [
    part.tenantNo,
    part.nextOffset,
    part.recordCount,
    part.acceptedCount,
    part.rejectedCount,
  ])
  const body = Buffer.from(
    `{"format":"millrace-log-retired","version":${VERSION},"logId":"${retired.logId}"` +
      `,"firstSegment":${retired.firstSegment},"tenants":${JSON.stringify(rows)}`,
  )
  const bytes = Buffer.alloc(body.length + 17)
  body.copy(bytes)
  writeCheck(bytes, body.length, crc32(body, 0))
  await replaceFile(files, join(folder, NAME), bytes)
}

/**
 * Reads what is gone and removes what was about to go; undefined when nothing went, or when it is
 * not known. It is believed only together with the segment that it names and that log's identity.
 */
export async function finishDropping(
  at: Folder,
  logId: string,
  found: readonly { readonly segment: number }[],
): Promise<Retired | undefined> {
  const path = join(at.folder, NAME)
  if (!(await at.files.exists(path))) return undefined
  const bytes = asBuffer(await readFile(at.files, path))
  const text = bytes.toString('utf8')
  const version = Number(/^\{"format":"millrace-log-retired","version":(\d{1,9}),/.exec(text)?.[1])
  if (version > VERSION) {
    throw new MillraceError('data_newer', `${NAME} has format ${version}, not ${VERSION}`)
  }
  if (version !== VERSION || checkLine(bytes, 0, bytes.length, 0) === undefined) {
    const message = `${path} does not check out: totals count from the oldest segment on`
    at.onFault?.(new MillraceError('data_damaged', message))
    return undefined
  }
  const { logId: ownLogId, firstSegment, tenants } = JSON.parse(text)
  const first = found.find(({ segment }) => segment >= firstSegment)
  if (first === undefined || ownLogId !== logId) {
    const message = `${path} is of another log, ${ownLogId}: totals count from the oldest segment on`
    at.onFault?.(new MillraceError('data_damaged', message))
    return undefined
  }
  if (first.segment !== firstSegment) {
    const message = `segments ${firstSegment} to ${first.segment - 1} are missing, totals are short`
    at.onFault?.(new MillraceError('data_damaged', message))
  }
  await removeBelow(at, firstSegment)
  return { logId, firstSegment, tenants: new Map(tenants.map(partOf)) }
}

function partOf(row: readonly number[]): [number, TenantPart] {
  const [tenantNo, nextOffset, recordCount, acceptedCount, rejectedCount] = row as [
    number,
    number,
    number,
    number,
    number,
  ]
  return [tenantNo, { tenantNo, nextOffset, recordCount, acceptedCount, rejectedCount }]
}

/** Removes segments and sidecars before `firstSegment`, oldest first; durable when it resolves. */
export async function removeBelow({ folder, files }: Folder, firstSegment: number): Promise<void> {
  let isChanged = false
  for (const name of await files.list(folder)) {
    const segment = segmentOfName(name) ?? segmentOfSidecar(name)
    if (segment === undefined || segment >= firstSegment) continue
    await files.remove(join(folder, name))
    isChanged = true
  }
  if (isChanged) await files.syncFolder(folder)
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/**
 * Takes one range of a tenant's records from the log into its three tables, each row exactly once.
 *
 * Each table's snapshot says how far it has taken up the log, and the three are committed one after
 * the other: rejections, identities, events. `events` is last because its progress is the one that
 * others rely on: retention drops log below it, queries read the tail from it, and delivery begins at
 * it. So what must hold is: whatever lies below the progress of `events` is in all three tables. The
 * other two may be ahead (a crash came between the commits); then they take only records from their
 * own progress on. They may also be behind: a table gets a commit only when it has rows, or an idle
 * table would gather empty snapshots for ever.
 *
 * A crash before a commit leaves data files that no snapshot names. They are harmless; they are not
 * deleted here unless it is certain that no snapshot ever will name them.
 */
import type { Clock, Random } from '../kit/clock.ts'
import type { FileSystem } from '../kit/files.ts'
import { type DataFile, dataFileOf } from '../lake/data-file.ts'
import { newUuid } from '../lake/iceberg/metadata.ts'
import type { LakeTable, TableSnapshot } from '../lake/lake-table.ts'
import { dataKey } from '../lake/layout.ts'
import type { ObjectStore } from '../lake/object-store.ts'
import { NONE_LEFT, type Progress } from '../lake/progress.ts'
import { formsIn } from '../lake/record-forms.ts'
import { EVENTS } from '../lake/tables.ts'
import { type Memory, readPlanned } from '../log/read-plan.ts'
import { controlLine } from './control-record.ts'
import { type DeliveryJob, type DeliveryResult, JobFailure } from './delivery-job.ts'
import type { LakeWriter, RowsFile, TableName } from './lake-writer.ts'
import { damagedLine, type Lines, leaveOut } from './leave-out.ts'
import type { Spool } from './spool.ts'

export type TenantTables = Readonly<Record<TableName, LakeTable>>

export interface DeliveryParts {
  readonly files: FileSystem
  /** Where a job's lines lie; fresh for each when not given. One job is done at a time. */
  readonly memory?: Memory
  readonly clock: Clock
  readonly random: Random
  readonly store: ObjectStore
  readonly writer: LakeWriter
  readonly spool: Spool
  /** Tables of a namespace; the same objects each time as far as memory allows. */
  readonly tables: (tenantId: string) => TenantTables
  /** Fences earlier writers: see `WriterEpochs`. */
  readonly epochs: WriterEpochs
}

type Snapshots = Readonly<Record<TableName, TableSnapshot>>
type Files = Readonly<Record<TableName, readonly DataFile[]>>

/** `events` last: see above. */
const COMMIT_ORDER: readonly TableName[] = ['rejections', 'identities', 'events']
const EVENT_ID = EVENTS.columns.find((column) => column.name === 'event_id')!.id

export async function deliverTenant(
  parts: DeliveryParts,
  job: DeliveryJob,
): Promise<DeliveryResult> {
  const { plan } = job
  const tables = parts.tables(job.tenantId)
  const before = await snapshotsOf(tables)
  const standing = offsetIn(before.events, plan.logId)
  if (standing !== plan.fromOffset) return { status: 'moved', nextOffset: standing }

  await parts.spool.clear()
  try {
    const rows = await writeRows(parts, job, before)
    if (job.trial !== undefined) return { status: 'tried' }
    const files = await putFiles(parts, tables, rows.files)
    const moved = await commit(parts, tables, before, files, plan, rows)
    if (moved !== undefined) return { status: 'moved', nextOffset: moved }
    return {
      status: 'delivered',
      nextOffset: plan.nextOffset,
      recordCount: plan.recordCount,
      eventCount: plan.eventCount,
      rowCount: rows.rowCount,
      duplicateCount: rows.duplicateCount,
      undeliverableCount: rows.undeliverableCount,
      logBytes: plan.bytes,
      lakeBytes: Object.values(files)
        .flat()
        .reduce((sum, file) => sum + file.fileBytes, 0),
    }
  } finally {
    await parts.spool.clear()
  }
}

/** From where on this log's records are not in the table. Another log's progress says nothing of it. */
export function offsetIn(snapshot: TableSnapshot, logId: string): number {
  return snapshot.progress?.logId === logId ? snapshot.progress.nextOffset : 0
}

async function snapshotsOf(tables: TenantTables): Promise<Snapshots> {
  const [events, identities, rejections] = await Promise.all([
    tables.events.snapshot(),
    tables.identities.snapshot(),
    tables.rejections.snapshot(),
  ])
  return { events, identities, rejections }
}

/** Reads, verifies, and has the rows written into the spool. Nothing is visible yet. */
async function writeRows(parts: DeliveryParts, job: DeliveryJob, before: Snapshots) {
  const { plan, sources } = job
  const { lines, eventCount, leftOutCount } = await linesOf(parts, job)
  const standing = {
    identities: offsetIn(before.identities, plan.logId),
    rejections: offsetIn(before.rejections, plan.logId),
  }
  // The table may have passed the record before it was known that rows are to be made of it.
  const isPassed = job.leaveOut !== undefined && job.leaveOut.offset < standing.rejections
  const rejections = isPassed ? job.leaveOut.offset : standing.rejections
  const written = await parts.writer.write({
    lines: await parts.spool.write('lines.ndjson', lines),
    folder: parts.spool.folder,
    logId: plan.logId,
    sources,
    fromOffset: { ...standing, rejections },
    earlierRejections: isPassed
      ? await Promise.all(before.rejections.files.map(({ key }) => parts.store.localPath(key)))
      : [],
    forms: formsIn(lines),
    earlierEvents: (firstDay, lastDay) =>
      earlierEvents(parts.store, before.events, firstDay, lastDay),
  })
  const rowCount = expectAllEvents(job, eventCount - leftOutCount, written)
  const undeliverableCount = leftOutCount + plan.skippedEventCount
  return { ...written, rowCount, undeliverableCount }
}

/** The planned lines, as the job wants them changed; `eventCount` is that of the records as read. */
async function linesOf(
  { files, memory, clock }: DeliveryParts,
  { plan, trial, leaveOut: what }: DeliveryJob,
): Promise<Lines & { eventCount: number }> {
  if (trial === 'control') {
    return { lines: controlLine(plan.tenantNo, clock.now()), eventCount: 1, leftOutCount: 0 }
  }
  const { lines: read, eventCount } = await readPlanned(files, plan, memory)
  const { lines, leftOutCount } =
    what === undefined ? { lines: read, leftOutCount: 0 } : leaveOut(read, what)
  const { skippedEventCount: events, skippedRecordCount: records } = plan
  if (records === 0) return { lines, eventCount, leftOutCount }
  const counts = { events, records, fromOffset: plan.fromOffset }
  const damaged = damagedLine(plan.nextOffset - 1, plan.tenantNo, clock.now(), counts)
  return { lines: Buffer.concat([lines, damaged]), eventCount, leftOutCount }
}

/** The account of promise 4: what was accepted is written or known to be a duplicate. The rows. */
function expectAllEvents(
  job: DeliveryJob,
  eventCount: number,
  written: { readonly files: readonly RowsFile[]; readonly duplicateCount: number },
): number {
  const rowCount = written.files
    .filter((file) => file.table === 'events')
    .reduce((sum, file) => sum + Number(file.stats.count), 0)
  if (rowCount + written.duplicateCount === eventCount) return rowCount
  throw new JobFailure(
    `${eventCount} events of ${job.tenantId} from offset ${job.plan.fromOffset} became ` +
      `${rowCount} rows and ${written.duplicateCount} duplicates`,
  )
}

async function earlierEvents(
  store: ObjectStore,
  events: TableSnapshot,
  firstDay: number,
  lastDay: number,
): Promise<readonly string[]> {
  const paths: string[] = []
  for (const file of events.files) {
    const inDays = file.partitionDay >= firstDay && file.partitionDay <= lastDay
    // Without a count of nulls it may hold ids.
    const hasIds = file.nullCounts.get(EVENT_ID) !== file.recordCount
    if (inDays && hasIds) paths.push(await store.localPath(file.key))
  }
  return paths
}

/** Moves the files into the lake under new keys, durably. No snapshot names them yet. */
async function putFiles(
  { store, random }: DeliveryParts,
  tables: TenantTables,
  rows: readonly RowsFile[],
): Promise<Files> {
  const files: Record<TableName, DataFile[]> = { events: [], identities: [], rejections: [] }
  for (const { table, path, partitionDay, stats } of rows) {
    const { identifier, definition } = tables[table]
    const key = dataKey(identifier, definition, partitionDay, newUuid(random))
    files[table].push(dataFileOf(definition, key, stats))
    await store.putFile(key, path)
  }
  return files
}

/** Undefined when all is committed; else where `events` stands after another writer's commit. */
async function commit(
  parts: DeliveryParts,
  tables: TenantTables,
  before: Snapshots,
  files: Files,
  plan: DeliveryJob['plan'],
  rows: { readonly duplicateCount: number; readonly undeliverableCount: number },
): Promise<number | undefined> {
  const { duplicates, undeliverable } = before.events.progress?.left ?? NONE_LEFT
  const left = {
    duplicates: duplicates + rows.duplicateCount,
    undeliverable: undeliverable + rows.undeliverableCount,
  }
  for (const name of COMMIT_ORDER) {
    if (name !== 'events' && files[name].length === 0) continue
    const expected = before[name].progress
    const progress: Progress = {
      logId: plan.logId,
      nextOffset: plan.nextOffset,
      writerEpoch: parts.epochs.of(tables[name], expected),
      ...(name === 'events' && { left }),
    }
    if ((await tables[name].append(files[name], progress, expected)) !== 'moved') continue
    await removeUnnamed(parts.store, tables, files)
    return offsetIn(await tables.events.snapshot(), plan.logId)
  }
  return undefined
}

/**
 * Deletes files after a lost commit. The table has moved past the snapshot that they were written for,
 * so no late answer can make them visible; those that are visible already (a commit that was won
 * although it seemed lost, or a table committed before the one that was lost) stay.
 */
async function removeUnnamed(
  store: ObjectStore,
  tables: TenantTables,
  files: Files,
): Promise<void> {
  for (const name of COMMIT_ORDER) {
    const named = new Set((await tables[name].snapshot()).files.map((file) => file.key))
    for (const { key } of files[name]) if (!named.has(key)) await store.delete(key)
  }
}

/**
 * The epoch that a writer puts into its progress: one more than it found when it took the table over,
 * the same as long as nobody else wrote. Two writers that race from one state differ in it.
 */
export class WriterEpochs {
  readonly #held = new WeakMap<LakeTable, number>()

  of(table: LakeTable, found: Progress | undefined): number {
    const held = this.#held.get(table)
    if (held !== undefined && held === found?.writerEpoch) return held
    const taken = (found?.writerEpoch ?? 0) + 1
    this.#held.set(table, taken)
    return taken
  }
}

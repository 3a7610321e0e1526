/**
 * One Iceberg table, as delivery appends to it and query reads it.
 *
 * An append is one snapshot: data files (already in the store), their manifest, the manifest list,
 * the metadata, in this order; only the last makes them visible, together with the progress in the
 * snapshot's summary. So a crash between any two steps leaves the old table or the new one, and at
 * most objects that nothing names.
 *
 * Exactly once: an append says which progress it continues (`expected`). It succeeds only on a
 * table that still stands there, so of two writers, or of one that tries again after an unclear
 * answer, one alone adds the rows. A commit by another engine in between only makes the append try
 * again.
 */
import type { Clock, Random } from '../kit/clock.ts'
import type { Catalog, LoadedTable, TableIdentifier } from './catalog.ts'
import type { DataFile } from './data-file.ts'
import { encodeBound } from './iceberg/bounds.ts'
import {
  decodeManifest,
  decodeManifestList,
  encodeManifest,
  encodeManifestList,
  MANIFEST_CONTENT,
  type ManifestFile,
} from './iceberg/manifest.ts'
import {
  currentSchema,
  currentSnapshot,
  defaultSpec,
  newSnapshotId,
  newTableMetadata,
  newUuid,
  type SnapshotId,
  type TableMetadata,
  withColumns,
  withSnapshot,
} from './iceberg/metadata.ts'
import { tableFolder } from './layout.ts'
import { addedEntry, filesOf, foreign } from './manifest-entry.ts'
import { keyOf, locationOf, type ObjectStore } from './object-store.ts'
import { type Progress, progressOf, progressSummary, sameProgress } from './progress.ts'
import type { TableDefinition } from './tables.ts'

export interface TableSnapshot {
  /** Undefined while the table does not exist or is empty. */
  readonly snapshotId: SnapshotId | undefined
  readonly files: readonly DataFile[]
  readonly recordCount: number
  /** From where on the log's rows are not in `files`; undefined: from its beginning. */
  readonly progress: Progress | undefined
}

/** Lost races against other engines' commits before an append gives up. */
const COMMIT_ATTEMPTS_MAX = 10
/**
 * Data files kept decoded for one table, at about 2 KiB each; least recently used ones go first.
 */
const FILES_CACHED_MAX = 20_000
/** Manifests read at the same time. */
const MANIFEST_READS_MAX = 8

const NO_TABLE: TableSnapshot = {
  snapshotId: undefined,
  files: [],
  recordCount: 0,
  progress: undefined,
}

/** Reads and writes nothing yet; the table is made by its first append. */
export function openLakeTable(
  store: ObjectStore,
  catalog: Catalog,
  identifier: TableIdentifier,
  definition: TableDefinition,
  clock: Clock,
  random: Random,
): LakeTable {
  return new LakeTable(store, catalog, identifier, definition, clock, random)
}

export class LakeTable {
  readonly identifier: TableIdentifier
  readonly definition: TableDefinition
  readonly #store: ObjectStore
  readonly #catalog: Catalog
  readonly #clock: Clock
  readonly #random: Random
  readonly #folder: string
  /** By location, in order of last use: manifests are immutable. */
  readonly #manifests = new Map<string, readonly DataFile[]>()
  #cachedFileCount = 0
  #newest: { metadataLocation: string; snapshot: TableSnapshot } | undefined

  constructor(
    store: ObjectStore,
    catalog: Catalog,
    identifier: TableIdentifier,
    definition: TableDefinition,
    clock: Clock,
    random: Random,
  ) {
    this.#store = store
    this.#catalog = catalog
    this.identifier = identifier
    this.definition = definition
    this.#clock = clock
    this.#random = random
    this.#folder = tableFolder(identifier)
  }

  /** The newest snapshot: the same object as before when nothing was committed since. */
  async snapshot(): Promise<TableSnapshot> {
    return this.#read(await this.#catalog.load(this.identifier))
  }

  /** Of the newest snapshot, without reading which files it has. */
  async progress(): Promise<Progress | undefined> {
    const loaded = await this.#catalog.load(this.identifier)
    return loaded && progressOf(loaded.metadata)
  }

  /**
   * Adds files whose rows are the log's from `expected` up to `progress`, in one snapshot. The
   * files must be in the store; there may be none (every record was refused). 'moved': the table
   * does not stand at `expected` any more, and nothing changed. Rejects when a commit is lost too
   * often or the store fails; whether the rows are in the table then says the next `snapshot()`.
   */
  async append(
    files: readonly DataFile[],
    progress: Progress,
    expected: Progress | undefined,
  ): Promise<TableSnapshot | 'moved'> {
    this.#checkAppend(files, progress, expected)
    const snapshotId = newSnapshotId(this.#random)
    let manifest: ManifestObject | undefined
    for (let attempt = 0; attempt < COMMIT_ATTEMPTS_MAX; attempt++) {
      const loaded = await this.#catalog.load(this.identifier)
      if (!sameProgress(loaded && progressOf(loaded.metadata), expected)) return 'moved'
      const base = this.#baseOf(loaded)
      const before = await this.#read(loaded)
      if (files.length > 0) manifest ??= await this.#putManifest(base, snapshotId, files)
      const next = await this.#nextMetadata(loaded, base, before, {
        snapshotId,
        manifest,
        files,
        progress,
      })
      const outcome = await this.#catalog.commit(this.identifier, loaded?.metadataLocation, next)
      // The list that lost stays: a store that answers late may have let it win after all.
      if (outcome !== 'conflict') {
        if (manifest) this.#remember(manifest.location, files)
        return this.#read(outcome)
      }
    }
    throw new Error(
      `lost ${COMMIT_ATTEMPTS_MAX} commits of ${this.#folder} in a row to other engines`,
    )
  }

  #checkAppend(
    files: readonly DataFile[],
    progress: Progress,
    expected: Progress | undefined,
  ): void {
    for (const file of files) {
      if (!file.key.startsWith(`${this.#folder}/data/`)) {
        throw new Error(`${file.key} is not in ${this.#folder}/data`)
      }
    }
    if (expected === undefined) return
    const back = progress.logId === expected.logId && progress.nextOffset < expected.nextOffset
    if (back || progress.writerEpoch < expected.writerEpoch) {
      throw new Error(
        `progress of ${this.#folder} goes back from offset ${expected.nextOffset}, epoch ` +
          `${expected.writerEpoch} to ${progress.nextOffset}, ${progress.writerEpoch}`,
      )
    }
  }

  #baseOf(loaded: LoadedTable | undefined): TableMetadata {
    const base = loaded
      ? withColumns(loaded.metadata, this.definition)
      : newTableMetadata(
          this.definition,
          locationOf(this.#store, this.#folder),
          newUuid(this.#random),
          this.#clock.now(),
        )
    const fields = defaultSpec(base).fields
    if (fields.length !== 1 || fields[0]!.transform !== 'day') {
      throw foreign(`${base.location} is no longer partitioned by day`)
    }
    return base
  }

  async #putManifest(
    base: TableMetadata,
    snapshotId: SnapshotId,
    files: readonly DataFile[],
  ): Promise<ManifestObject> {
    const entries = files.map((file) => addedEntry(this.#store, this.definition, snapshotId, file))
    const bytes = encodeManifest(currentSchema(base), defaultSpec(base), entries)
    const key = `${this.#folder}/metadata/${newUuid(this.#random)}-m0.avro`
    await this.#store.put(key, bytes)
    return { location: locationOf(this.#store, key), bytes: bytes.byteLength }
  }

  /** Puts the manifest list of the new snapshot, and makes the metadata that names it. */
  async #nextMetadata(
    loaded: LoadedTable | undefined,
    base: TableMetadata,
    before: TableSnapshot,
    added: Addition,
  ): Promise<TableMetadata> {
    const parent = currentSnapshot(base)
    const sequenceNumber = base['last-sequence-number'] + 1
    const manifests = parent ? [...(await this.#manifestsOf(parent['manifest-list']))] : []
    if (added.manifest) {
      const specId = base['default-spec-id']
      manifests.unshift(manifestFile(added, added.manifest, specId, sequenceNumber))
    }
    const bytes = encodeManifestList(
      added.snapshotId,
      parent?.['snapshot-id'],
      sequenceNumber,
      manifests,
    )
    const name = `snap-${added.snapshotId}-1-${newUuid(this.#random)}.avro`
    const key = `${this.#folder}/metadata/${name}`
    await this.#store.put(key, bytes)
    const snapshot = {
      snapshotId: added.snapshotId,
      sequenceNumber,
      manifestList: locationOf(this.#store, key),
      summary: summaryOf(before, added),
      nowMs: this.#clock.now(),
    }
    return withSnapshot(base, snapshot, loaded?.metadataLocation)
  }

  async #read(loaded: LoadedTable | undefined): Promise<TableSnapshot> {
    if (!loaded) return NO_TABLE
    if (this.#newest?.metadataLocation === loaded.metadataLocation) return this.#newest.snapshot
    const current = currentSnapshot(loaded.metadata)
    const files = current ? await this.#filesOf(current['manifest-list']) : []
    const recordCount = sum(files, (file) => file.recordCount)
    // Avro checks nothing: a flipped bit in the list can leave a manifest out.
    const stated = current?.summary?.['total-records']
    if (stated !== undefined && stated !== String(recordCount)) {
      throw foreign(`the snapshot has ${stated} records, its manifests name ${recordCount}`)
    }
    const snapshot = {
      snapshotId: current?.['snapshot-id'],
      files,
      recordCount,
      progress: progressOf(loaded.metadata),
    }
    this.#newest = { metadataLocation: loaded.metadataLocation, snapshot }
    return snapshot
  }

  async #filesOf(manifestList: string): Promise<readonly DataFile[]> {
    const manifests = await this.#manifestsOf(manifestList)
    const live = manifests.filter(
      (manifest) => manifest.added_files_count + manifest.existing_files_count > 0,
    )
    if (live.some((manifest) => manifest.content !== MANIFEST_CONTENT.data)) {
      throw foreign(`${manifestList} holds deletes of rows`)
    }
    const files: DataFile[] = []
    for (let first = 0; first < live.length; first += MANIFEST_READS_MAX) {
      const some = live.slice(first, first + MANIFEST_READS_MAX)
      const read = await Promise.all(some.map((each) => this.#manifest(each)))
      for (const part of read) files.push(...part)
    }
    return files
  }

  async #manifestsOf(manifestList: string): Promise<readonly ManifestFile[]> {
    return decodeManifestList(await this.#get(manifestList))
  }

  async #manifest({
    manifest_path: location,
    manifest_length,
  }: ManifestFile): Promise<readonly DataFile[]> {
    const known = this.#manifests.get(location)
    if (known) {
      this.#manifests.delete(location)
      this.#manifests.set(location, known)
      return known
    }
    const bytes = await this.#get(location)
    // Avro has no end mark: a file cut between blocks would be read as fewer files.
    if (bytes.byteLength !== manifest_length) {
      throw foreign(`${location} has ${bytes.byteLength} bytes, not ${manifest_length}`)
    }
    const files = filesOf(this.#store, this.definition, decodeManifest(bytes))
    this.#remember(location, files)
    return files
  }

  #remember(location: string, files: readonly DataFile[]): void {
    if (this.#manifests.has(location)) return
    this.#manifests.set(location, files)
    this.#cachedFileCount += files.length
    for (const [oldest, dropped] of this.#manifests) {
      if (this.#cachedFileCount <= FILES_CACHED_MAX) break
      this.#manifests.delete(oldest)
      this.#cachedFileCount -= dropped.length
    }
  }

  async #get(location: string): Promise<Uint8Array> {
    const bytes = await this.#store.get(keyOf(this.#store, location))
    if (!bytes) throw foreign(`${location} is missing`)
    return bytes
  }
}

interface ManifestObject {
  readonly location: string
  readonly bytes: number
}

interface Addition {
  readonly snapshotId: SnapshotId
  readonly manifest: ManifestObject | undefined
  readonly files: readonly DataFile[]
  readonly progress: Progress
}

function manifestFile(
  added: Addition,
  manifest: ManifestObject,
  specId: number,
  sequenceNumber: number,
): ManifestFile {
  const days = added.files.map((file) => file.partitionDay)
  return {
    manifest_path: manifest.location,
    manifest_length: manifest.bytes,
    partition_spec_id: specId,
    content: MANIFEST_CONTENT.data,
    sequence_number: sequenceNumber,
    min_sequence_number: sequenceNumber,
    added_snapshot_id: added.snapshotId,
    added_files_count: added.files.length,
    existing_files_count: 0,
    deleted_files_count: 0,
    added_rows_count: sum(added.files, (file) => file.recordCount),
    existing_rows_count: 0,
    deleted_rows_count: 0,
    partitions: [
      {
        contains_null: false,
        contains_nan: false,
        // A day is a date, and a date is serialized as an int.
        lower_bound: encodeBound('int', Math.min(...days)),
        upper_bound: encodeBound('int', Math.max(...days)),
      },
    ],
    key_metadata: null,
  }
}

function summaryOf(before: TableSnapshot, added: Addition): Readonly<Record<string, string>> {
  const { files } = added
  const addedBytes = sum(files, (file) => file.fileBytes)
  const addedRecords = sum(files, (file) => file.recordCount)
  return {
    operation: 'append',
    'added-data-files': String(files.length),
    'added-records': String(addedRecords),
    'added-files-size': String(addedBytes),
    'changed-partition-count': String(new Set(files.map((file) => file.partitionDay)).size),
    'total-data-files': String(before.files.length + files.length),
    'total-records': String(before.recordCount + addedRecords),
    'total-files-size': String(sum(before.files, (file) => file.fileBytes) + addedBytes),
    'total-delete-files': '0',
    'total-position-deletes': '0',
    'total-equality-deletes': '0',
    ...progressSummary(added.progress),
  }
}

function sum(files: readonly DataFile[], of: (file: DataFile) => number): number {
  return files.reduce((total, file) => total + of(file), 0)
}

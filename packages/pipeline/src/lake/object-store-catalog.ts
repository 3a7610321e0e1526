/**
 * A catalog that is nothing but objects: `<namespace>/<table>/metadata/v<N>.metadata.json`, each
 * version written once with `onlyIfAbsent`. It needs no service and works on any object store.
 *
 * The newest version is the last one without a gap after it. `version-hint.text` only says where to
 * begin to look (and is what other engines read): a missing, stale or damaged hint costs reads,
 * never correctness. For others it is where the table is: a process that died between a version and
 * its hint leaves one that is wrong, and the next that loads the table mends it. Whoever removes old
 * versions removes the oldest first, and keeps the newest.
 */
import { MillraceError } from '../kit/errors.ts'
import type { Catalog, LoadedTable, TableIdentifier } from './catalog.ts'
import { parseJson, stringifyJson } from './iceberg/lossless-json.ts'
import type { TableMetadata } from './iceberg/metadata.ts'
import { isLakeName, tableFolder } from './layout.ts'
import { locationOf, type ObjectStore } from './object-store.ts'

/** Newest versions that are remembered, so that a load that finds nothing new reads nothing. */
const TABLES_CACHED_MAX = 256
const VERSION_NAME = /\/v(\d{1,15})\.metadata\.json$/

interface Version extends LoadedTable {
  readonly version: number
}

export class ObjectStoreCatalog implements Catalog {
  readonly #store: ObjectStore
  readonly #newest = new Map<string, Version>()

  constructor(store: ObjectStore) {
    this.#store = store
  }

  async namespaces(): Promise<readonly string[]> {
    const found: string[] = []
    for (const name of await this.#store.folders('')) {
      if (isLakeName(name) && (await this.tables(name)).length > 0) found.push(name)
    }
    return found
  }

  async tables(namespace: string): Promise<readonly string[]> {
    const found: string[] = []
    for (const name of await this.#store.folders(`${namespace}/`)) {
      if (!isLakeName(name)) continue
      // A folder without a version is what a crash before the first commit leaves.
      if ((await this.#newestListed(tableFolder({ namespace, name }))) > 0) found.push(name)
    }
    return found
  }

  async load(table: TableIdentifier): Promise<LoadedTable | undefined> {
    const newest = await this.#load(tableFolder(table))
    return newest && { metadata: newest.metadata, metadataLocation: newest.metadataLocation }
  }

  async commit(
    table: TableIdentifier,
    previousLocation: string | undefined,
    next: TableMetadata,
  ): Promise<LoadedTable | 'conflict'> {
    const folder = tableFolder(table)
    // Not only the absence of version N + 1: it could be an old one that was removed since.
    const newest = await this.#load(folder)
    if (newest?.metadataLocation !== previousLocation) return 'conflict'
    const version = (newest?.version ?? 0) + 1
    const key = versionKey(folder, version)
    const text = Buffer.from(stringifyJson(next))
    const outcome = await this.#store.put(key, text, { onlyIfAbsent: true })
    if (outcome === 'exists') return 'conflict'
    const made = { version, metadata: next, metadataLocation: locationOf(this.#store, key) }
    this.#remember(folder, made)
    await this.#putHint(folder, version)
    return { metadata: next, metadataLocation: made.metadataLocation }
  }

  async #load(folder: string): Promise<Version | undefined> {
    const known = this.#newest.get(folder)
    const hint = known === undefined ? await this.#hint(folder) : undefined
    let newest = known ?? (await this.#first(folder, hint))
    if (!newest) return undefined
    for (;;) {
      const next = await this.#read(folder, newest.version + 1)
      if (!next) break
      newest = next
      // Whoever comes back late reads the newest, not the hundreds between.
      const later = await this.#hint(folder)
      if (later !== undefined && later > next.version) {
        newest = (await this.#read(folder, later)) ?? next
      }
    }
    // Also makes the version's name durable, should its writer have died before it could.
    if (known === undefined && newest.version !== hint) await this.#putHint(folder, newest.version)
    this.#remember(folder, newest)
    return newest
  }

  /** Some version, as new as is cheaply found: the hinted one, else the newest in the listing. */
  async #first(folder: string, hint: number | undefined): Promise<Version | undefined> {
    const hinted = hint === undefined ? undefined : await this.#read(folder, hint)
    if (hinted) return hinted
    const listed = await this.#newestListed(folder)
    return listed === 0 ? undefined : await this.#read(folder, listed)
  }

  async #hint(folder: string): Promise<number | undefined> {
    const text = await this.#store.get(hintKey(folder))
    const hint = text && /^\s*(\d{1,15})\s*$/.exec(Buffer.from(text).toString('latin1'))
    return hint ? Number(hint[1]) : undefined
  }

  /** The version is there: a hint that cannot be written must not make that look like a failure. */
  async #putHint(folder: string, version: number): Promise<void> {
    await this.#store.put(hintKey(folder), Buffer.from(String(version))).catch(() => {})
  }

  async #newestListed(folder: string): Promise<number> {
    let newest = 0
    for await (const key of this.#store.list(`${folder}/metadata/v`)) {
      const version = Number(VERSION_NAME.exec(key)?.[1] ?? 0)
      if (version > newest) newest = version
    }
    return newest
  }

  async #read(folder: string, version: number): Promise<Version | undefined> {
    const key = versionKey(folder, version)
    const bytes = await this.#store.get(key)
    if (!bytes) return undefined
    const metadataLocation = locationOf(this.#store, key)
    return { version, metadata: parseMetadata(bytes, metadataLocation), metadataLocation }
  }

  #remember(folder: string, newest: Version): void {
    const known = this.#newest.get(folder)
    if (known && known.version > newest.version) return // another load was faster
    this.#newest.delete(folder)
    if (this.#newest.size >= TABLES_CACHED_MAX) {
      this.#newest.delete(this.#newest.keys().next().value!)
    }
    this.#newest.set(folder, newest)
  }
}

/** Reads a metadata file; rejects what this version cannot keep correct. */
export function parseMetadata(bytes: Uint8Array, location: string): TableMetadata {
  let metadata: Partial<TableMetadata>
  try {
    metadata = parseJson(Buffer.from(bytes).toString('utf8')) as Partial<TableMetadata>
  } catch (cause) {
    throw new MillraceError('data_damaged', `${location} is not JSON`, { cause })
  }
  const version: number | undefined = metadata['format-version']
  if (version !== 2) {
    throw new MillraceError('data_newer', `${location} has Iceberg format version ${version}`, {
      hint: 'Millrace keeps tables of Iceberg format version 2; do not upgrade them.',
    })
  }
  return metadata as TableMetadata
}

function versionKey(folder: string, version: number): string {
  return `${folder}/metadata/v${version}.metadata.json`
}

function hintKey(folder: string): string {
  return `${folder}/metadata/version-hint.text`
}

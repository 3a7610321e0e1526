/**
 * The lake as readers see it: a tenant's tables, their newest files, and how far delivery has come.
 *
 * Tables are opened on demand and kept, because each remembers the manifests it has decoded.
 */
import type { Clock, Random } from '../kit/clock.ts'
import type { Catalog } from './catalog.ts'
import { type LakeTable, openLakeTable, type TableSnapshot } from './lake-table.ts'
import type { ObjectStore } from './object-store.ts'
import { TABLES, type TableDefinition } from './tables.ts'

/** Tenants whose tables stay open; the one that was used longest ago goes first. */
const TENANTS_OPEN_MAX = 256

type TableName = TableDefinition['name']

export interface ReadableSnapshot {
  readonly files: readonly { readonly localPath: string }[]
  readonly recordCount: number
  readonly progress: TableSnapshot['progress']
}

export class LakeReader {
  readonly #store: ObjectStore
  readonly #catalog: Catalog
  readonly #clock: Clock
  readonly #random: Random
  readonly #open = new Map<string, ReadonlyMap<TableName, LakeTable>>()

  constructor(store: ObjectStore, catalog: Catalog, clock: Clock, random: Random) {
    this.#store = store
    this.#catalog = catalog
    this.#clock = clock
    this.#random = random
  }

  async snapshot(tenantId: string, name: TableName): Promise<ReadableSnapshot> {
    const { files, recordCount, progress } = await this.#table(tenantId, name).snapshot()
    const local = files.map(async ({ key }) => ({ localPath: await this.#store.localPath(key) }))
    return { files: await Promise.all(local), recordCount, progress }
  }

  /** Up to where `events` holds the rows of this log; 0 when it holds none of it. */
  async offset(tenantId: string, logId: string): Promise<number> {
    const progress = await this.#table(tenantId, 'events').progress()
    return progress?.logId === logId ? progress.nextOffset : 0
  }

  #table(tenantId: string, name: TableName): LakeTable {
    const tables = this.#open.get(tenantId) ?? this.#openTables(tenantId)
    this.#open.delete(tenantId)
    this.#open.set(tenantId, tables)
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= TENANTS_OPEN_MAX) break
      this.#open.delete(oldest)
    }
    return tables.get(name) as LakeTable
  }

  #openTables(tenantId: string): ReadonlyMap<TableName, LakeTable> {
    return new Map(
      TABLES.map((definition) => {
        const identifier = { namespace: tenantId, name: definition.name }
        return [
          definition.name,
          openLakeTable(
            this.#store,
            this.#catalog,
            identifier,
            definition,
            this.#clock,
            this.#random,
          ),
        ]
      }),
    )
  }
}

/**
 * What the delivery process works with, over one data folder: everything but the engine.
 */
import { join } from 'node:path'
import { type DeliveryParts, type TenantTables, WriterEpochs } from '../delivery/deliver-tenant.ts'
import type { LakeWriter } from '../delivery/lake-writer.ts'
import { openSpool } from '../delivery/spool.ts'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { nodeFiles } from '../kit/files.ts'
import { FolderObjectStore } from '../lake/folder-object-store.ts'
import { openLakeTable } from '../lake/lake-table.ts'
import { ObjectStoreCatalog } from '../lake/object-store-catalog.ts'
import { TABLES } from '../lake/tables.ts'
import { reusedMemory } from '../log/read-plan.ts'

/** Tenants whose tables stay open: each keeps its list of data files in memory. */
const TENANTS_OPEN_MAX = 16

export function deliveryParts(
  dataFolder: string,
  bucket: string,
  writer: LakeWriter,
): DeliveryParts {
  const store = new FolderObjectStore(nodeFiles, join(dataFolder, 'lake'), bucket, systemRandom)
  const catalog = new ObjectStoreCatalog(store)
  const open = new Map<string, TenantTables>()

  function tablesOf(tenantId: string): TenantTables {
    const known = open.get(tenantId) ?? openTables(tenantId)
    open.delete(tenantId)
    open.set(tenantId, known)
    for (const oldest of open.keys()) {
      if (open.size <= TENANTS_OPEN_MAX) break
      open.delete(oldest)
    }
    return known
  }

  function openTables(tenantId: string): TenantTables {
    const tables = TABLES.map((definition) => {
      const identifier = { namespace: tenantId, name: definition.name }
      return [
        definition.name,
        openLakeTable(store, catalog, identifier, definition, systemClock, systemRandom),
      ] as const
    })
    return Object.fromEntries(tables) as unknown as TenantTables
  }

  return {
    files: nodeFiles,
    memory: reusedMemory(),
    clock: systemClock,
    random: systemRandom,
    store,
    writer,
    spool: openSpool(join(dataFolder, 'spool', 'delivery')),
    tables: tablesOf,
    epochs: new WriterEpochs(),
  }
}

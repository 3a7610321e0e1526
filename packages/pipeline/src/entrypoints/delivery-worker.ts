/**
 * The program of the delivery process; started by delivery/child-worker.ts, never by hand.
 *
 * Arguments: the data folder, the bucket. Jobs come as messages, one at a time; it ends when the
 * channel closes, which it does when the parent is gone, however it went. An unfinished job is then
 * one that did not happen.
 */
import { join } from 'node:path'
import { openParquetWriter } from '../adapters/duckdb/parquet-writer.ts'
import { serveDelivery } from '../delivery/child-worker.ts'
import { type DeliveryParts, type TenantTables, WriterEpochs } from '../delivery/deliver-tenant.ts'
import { openSpool } from '../delivery/spool.ts'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { nodeFiles } from '../kit/files.ts'
import { FolderObjectStore } from '../lake/folder-object-store.ts'
import { openLakeTable } from '../lake/lake-table.ts'
import { ObjectStoreCatalog } from '../lake/object-store-catalog.ts'
import { TABLES } from '../lake/tables.ts'

/** Tenants whose tables stay open: each keeps its list of data files in memory. */
const TENANTS_OPEN_MAX = 16

const [dataFolder, bucket] = process.argv.slice(2)
if (dataFolder === undefined || bucket === undefined || process.send === undefined) {
  process.stderr.write('delivery-worker is started by millrace\n')
  process.exit(2)
}
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

const parts: DeliveryParts = {
  files: nodeFiles,
  random: systemRandom,
  store,
  writer: await openParquetWriter(),
  spool: openSpool(join(dataFolder, 'spool', 'delivery')),
  tables: tablesOf,
  epochs: new WriterEpochs(),
}
await parts.spool.clear()
serveDelivery(process, parts)

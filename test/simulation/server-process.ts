/**
 * One process of the product on a model disk: its log, and what delivers from it into the lake. All of
 * it is the product's own code but the engine that writes rows, which is a stand-in.
 */
import {
  type DeliveryParts,
  type TenantTables,
  WriterEpochs,
} from '../../packages/pipeline/src/delivery/deliver-tenant.ts'
import type { Clock, Random } from '../../packages/pipeline/src/kit/clock.ts'
import type { FileSystem } from '../../packages/pipeline/src/kit/files.ts'
import {
  FolderObjectStore,
  removeUnfinished,
} from '../../packages/pipeline/src/lake/folder-object-store.ts'
import { openLakeTable } from '../../packages/pipeline/src/lake/lake-table.ts'
import type { ObjectStore } from '../../packages/pipeline/src/lake/object-store.ts'
import { ObjectStoreCatalog } from '../../packages/pipeline/src/lake/object-store-catalog.ts'
import { TABLES } from '../../packages/pipeline/src/lake/tables.ts'
import { type DiskLog, openDiskLog } from '../../packages/pipeline/src/log/disk-log.ts'
import { TENANTS } from './history.ts'
import { standInSpool, standInWriter } from './stand-in-lake.ts'

const DATA = '/var/lib/millrace'
/** Two processes that may deliver the same job; normally the first does. */
const DELIVERERS = ['a', 'b']

export interface ProcessParts {
  readonly files: FileSystem
  readonly clock: Clock
  readonly random: Random
}

/** What a start needs to be there already. */
export async function makeSpools(files: FileSystem): Promise<void> {
  for (const name of DELIVERERS) await files.makeFolder(spoolOf(name))
}

export function openLog(parts: ProcessParts, segmentBytesMax: number): Promise<DiskLog> {
  return openDiskLog({ folder: `${DATA}/log`, ...parts, segmentBytesMax })
}

/** After what an earlier process left unfinished is thrown away. */
export async function openDeliverers(parts: ProcessParts): Promise<readonly DeliveryParts[]> {
  await removeUnfinished(parts.files, `${DATA}/lake`)
  return DELIVERERS.map((name) => {
    const store = lakeStore(parts)
    const tables = new Map(
      TENANTS.map((tenantNo) => [`t${tenantNo}`, lakeTables(parts, store, tenantNo)]),
    )
    return {
      ...parts,
      store,
      writer: standInWriter(parts.files),
      spool: standInSpool(parts.files, spoolOf(name)),
      tables: (tenantId) => tables.get(tenantId)!,
      epochs: new WriterEpochs(),
    }
  })
}

export function lakeStore({ files, random }: Omit<ProcessParts, 'clock'>): ObjectStore {
  return new FolderObjectStore(files, `${DATA}/lake`, 'model', random)
}

export function lakeTables(
  { clock, random }: Omit<ProcessParts, 'files'>,
  store: ObjectStore,
  tenantNo: number,
): TenantTables {
  const catalog = new ObjectStoreCatalog(store)
  const tables = TABLES.map((definition) => {
    const identifier = { namespace: `t${tenantNo}`, name: definition.name }
    const table = openLakeTable(store, catalog, identifier, definition, clock, random)
    return [definition.name, table]
  })
  return Object.fromEntries(tables)
}

function spoolOf(name: string): string {
  return `${DATA}/spool-${name}`
}

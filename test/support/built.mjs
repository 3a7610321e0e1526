/** The built stores of the server, opened on a data folder that no server holds. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readCredentials } from './server.mjs'

export const BUILT = new URL('../../packages/pipeline/dist/', import.meta.url)
const from = (path) => import(new URL(path, BUILT).href)

export function bucketOf(data) {
  return JSON.parse(readFileSync(join(data, 'millrace.json'), 'utf8')).bucket
}

/** @param {string} folder Of the log. @param {object} [limits] Of `DiskLogOptions`. */
export async function openLog(folder, limits = {}) {
  const { openDiskLog } = await from('log/disk-log.js')
  const { nodeFiles: files } = await from('kit/files.js')
  const { systemClock: clock, systemRandom: random } = await from('kit/clock.js')
  return openDiskLog({ folder, files, clock, random, ...limits })
}

/** @param {string} data */
export async function openLake(data) {
  const { nodeFiles } = await from('kit/files.js')
  const { systemClock, systemRandom } = await from('kit/clock.js')
  const { FolderObjectStore } = await from('lake/folder-object-store.js')
  const { ObjectStoreCatalog } = await from('lake/object-store-catalog.js')
  const { LakeReader } = await from('lake/lake-reader.js')
  const folder = join(data, 'lake')
  const objects = new FolderObjectStore(nodeFiles, folder, bucketOf(data), systemRandom)
  const catalog = new ObjectStoreCatalog(objects)
  const { tenantId } = readCredentials(data)
  return { lake: new LakeReader(objects, catalog, systemClock, systemRandom), tenantId }
}

/** @param {string} data */
export async function openTenants(data) {
  const { openSqliteTenantStore } = await from('adapters/sqlite/sqlite-tenant-store.js')
  return openSqliteTenantStore(join(data, 'control.db'))
}

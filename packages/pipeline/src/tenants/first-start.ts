/**
 * The first start: a tenant to begin with, and the file that says how to reach it.
 *
 * The store comes first and `DIR/credentials.json` after it, so a crash between the two leaves a tenant
 * whose secret nobody knows. Only hashes are kept, so what is lost cannot be written again: each start
 * compares the file with the store, and where they do not fit a new client is made and said. Earlier
 * clients are left as they are, since somebody may hold their secret elsewhere.
 */
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Random } from '../kit/clock.ts'
import { errnoOf } from '../kit/errors.ts'
import { type FileSystem, readFile, replaceFile } from '../kit/files.ts'
import {
  createClient,
  createSource,
  createTenant,
  FIRST_CLIENT_NAME,
  FIRST_SOURCE_NAME,
} from './create-tenant.ts'
import { isSecret } from './secrets.ts'
import { SCOPES, type TenantStore } from './tenant-store.ts'

export const FIRST_TENANT_ID = 'demo'
export const FIRST_TENANT_NAME = 'Demo'
export const CREDENTIALS_FILE = 'credentials.json'

export interface Credentials {
  readonly tenantId: string
  readonly writeKey: string
  readonly clientId: string
  readonly clientSecret: string
}

export interface FirstStartParts {
  readonly store: TenantStore
  /** `DIR`; it exists. */
  readonly folder: string
  readonly files: FileSystem
  readonly clock: Clock
  readonly random: Random
  /** The tenant's data will be made up; default false. Counts only when it is made. */
  readonly synthetic?: boolean
}

export interface FirstStart {
  readonly credentials: Credentials
  /** `created`: the tenant is new. `reissued`: the file did not fit, a new client was made; tell the
   * operator. `kept`: nothing was changed. */
  readonly outcome: 'created' | 'reissued' | 'kept'
}

/** Idempotent: call it at every start. */
export async function firstStart(parts: FirstStartParts): Promise<FirstStart> {
  const { store, folder, files } = parts
  const path = join(folder, CREDENTIALS_FILE)
  const tenant = store.tenant(FIRST_TENANT_ID)
  if (tenant === undefined) {
    const created = await createTenant(parts, {
      tenantId: FIRST_TENANT_ID,
      name: FIRST_TENANT_NAME,
      synthetic: parts.synthetic ?? false,
      scopes: SCOPES,
    })
    if (created === 'exists') throw new Error(`tenant ${FIRST_TENANT_ID} appeared meanwhile`)
    const { writeKey, clientId, clientSecret } = created
    const credentials = { tenantId: FIRST_TENANT_ID, writeKey, clientId, clientSecret }
    await write(files, path, credentials)
    return { credentials, outcome: 'created' }
  }
  const { tenantNo } = tenant
  const writeKey = await firstWriteKey(parts, tenantNo)
  const kept = await read(files, path)
  const client = kept && store.client(kept.clientId)
  if (kept && client?.tenantNo === tenantNo && isSecret(client.secretHash, kept.clientSecret)) {
    const credentials = { ...kept, tenantId: FIRST_TENANT_ID, writeKey }
    if (kept.writeKey !== writeKey) await write(files, path, credentials)
    else await chmod(path, 0o600)
    return { credentials, outcome: 'kept' }
  }
  const wanted = { tenantNo, name: FIRST_CLIENT_NAME, scopes: SCOPES }
  const { client: made, clientSecret } = await createClient(parts, wanted)
  const { clientId } = made
  const credentials = { tenantId: FIRST_TENANT_ID, writeKey, clientId, clientSecret }
  await write(files, path, credentials)
  return { credentials, outcome: 'reissued' }
}

async function firstWriteKey(parts: FirstStartParts, tenantNo: number): Promise<string> {
  const sources = parts.store.sources(tenantNo)
  const first = sources.find(({ name }) => name === FIRST_SOURCE_NAME)
  if (first !== undefined) return first.writeKey
  const made = await createSource(parts, { tenantNo, name: FIRST_SOURCE_NAME, origins: [] })
  if (made === 'exists') throw new Error(`source ${FIRST_SOURCE_NAME} appeared meanwhile`)
  return made.writeKey
}

/** Undefined when the file is missing or is not what we write: a new one takes its place. */
async function read(files: FileSystem, path: string): Promise<Credentials | undefined> {
  try {
    const text = Buffer.from(await readFile(files, path)).toString('utf8')
    const { tenantId, writeKey, clientId, clientSecret } = JSON.parse(text) as Credentials
    const members = { tenantId, writeKey, clientId, clientSecret }
    return Object.values(members).every((value) => typeof value === 'string') ? members : undefined
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Mode 0600 from the first byte: every file of `FileSystem` is made so. */
function write(files: FileSystem, path: string, credentials: Credentials): Promise<void> {
  return replaceFile(files, path, Buffer.from(`${JSON.stringify(credentials, null, 2)}\n`))
}

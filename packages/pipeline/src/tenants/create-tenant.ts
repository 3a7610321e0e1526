/**
 * Making a tenant and a client: the one place where their keys and secrets are born.
 *
 * A secret is returned here, once, and never again: the store gets its hash.
 */
import type { Clock, Random } from '../kit/clock.ts'
import { hashSecret, newClientId, newClientSecret, newWriteKey } from './secrets.ts'
import {
  type Client,
  type Scope,
  type Source,
  TENANT_SCOPES,
  type Tenant,
  type TenantStore,
} from './tenant-store.ts'

export interface Makers {
  readonly store: TenantStore
  readonly clock: Clock
  readonly random: Random
}

/** The source that every tenant begins with. */
export const FIRST_SOURCE_NAME = 'web'
export const FIRST_CLIENT_NAME = 'first client'

export interface NewTenant {
  readonly tenantId: string
  /** Default: the id. */
  readonly name?: string
  /** Its data will be made up; default false. */
  readonly synthetic?: boolean
  /** Of its first client; default everything but `admin`. */
  readonly scopes?: readonly Scope[]
}

export interface CreatedTenant {
  readonly tenant: Tenant
  readonly writeKey: string
  readonly clientId: string
  readonly clientSecret: string
}

/** The tenant, its source `web` and its first client, all or nothing. */
export async function createTenant(
  { store, clock, random }: Makers,
  wanted: NewTenant,
): Promise<CreatedTenant | 'exists'> {
  const createdMs = clock.now()
  const writeKey = newWriteKey(random)
  const clientId = newClientId(random)
  const clientSecret = newClientSecret(random)
  const tenant = await store.addTenant(
    {
      tenantId: wanted.tenantId,
      name: wanted.name ?? wanted.tenantId,
      synthetic: wanted.synthetic ?? false,
      createdMs,
    },
    {
      source: { name: FIRST_SOURCE_NAME, writeKey, origins: [], createdMs },
      client: {
        clientId,
        name: FIRST_CLIENT_NAME,
        scopes: wanted.scopes ?? TENANT_SCOPES,
        secretHash: hashSecret(clientSecret),
        createdMs,
      },
    },
  )
  return tenant === 'exists' ? 'exists' : { tenant, writeKey, clientId, clientSecret }
}

export interface CreatedClient {
  readonly client: Client
  readonly clientSecret: string
}

export async function createClient(
  { store, clock, random }: Makers,
  wanted: Pick<Client, 'tenantNo' | 'name' | 'scopes'>,
): Promise<CreatedClient> {
  const clientSecret = newClientSecret(random)
  const client = await store.addClient({
    clientId: newClientId(random),
    tenantNo: wanted.tenantNo,
    name: wanted.name,
    scopes: wanted.scopes,
    secretHash: hashSecret(clientSecret),
    createdMs: clock.now(),
  })
  // 64 random bits met again: the randomness is broken, and going on would be worse.
  if (client === 'exists') throw new Error('a new client id was already taken')
  return { client, clientSecret }
}

export function createSource(
  { store, clock, random }: Makers,
  wanted: Pick<Source, 'tenantNo' | 'name' | 'origins'>,
): Promise<Source | 'exists'> {
  return store.addSource({
    tenantNo: wanted.tenantNo,
    name: wanted.name,
    origins: wanted.origins,
    writeKey: newWriteKey(random),
    createdMs: clock.now(),
  })
}

/**
 * What only the demo has: the synthetic tenant `sample`, and what the supervisor says about it.
 */
import { join } from 'node:path'
import type { Clock, Random } from '../kit/clock.ts'
import { type FileSystem, replaceFile } from '../kit/files.ts'
import { createClient, createTenant } from '../tenants/create-tenant.ts'
import type { Tenant, TenantStore } from '../tenants/tenant-store.ts'
import type { DemoState } from './demo-routes.ts'

const SAMPLE_TENANT_ID = 'sample'

export interface Demo {
  readonly sample: Tenant
  readonly state: DemoState
  /** A message of the supervisor; what is not one is passed over. */
  hear(message: unknown): void
}

interface DemoParts {
  readonly store: TenantStore
  readonly clock: Clock
  readonly random: Random
  readonly folder: string
  readonly files: FileSystem
}

/** Makes the tenant once, and at each start a client for the loader, whose secret goes into a file. */
export async function openDemo(parts: DemoParts): Promise<Demo> {
  const { store, files, folder } = parts
  if (store.tenant(SAMPLE_TENANT_ID) === undefined) {
    await createTenant(parts, { tenantId: SAMPLE_TENANT_ID, name: 'Sample shop', synthetic: true })
  }
  const sample = store.tenant(SAMPLE_TENANT_ID) as Tenant
  const file = join(folder, 'sample-credentials.json')
  if (!(await files.exists(file))) {
    const { client, clientSecret } = await createClient(parts, {
      tenantNo: sample.tenantNo,
      name: 'demo',
      scopes: ['events:write', 'sql:read'],
    })
    const text = JSON.stringify({
      tenantId: SAMPLE_TENANT_ID,
      clientId: client.clientId,
      clientSecret,
    })
    await replaceFile(files, file, Buffer.from(`${text}\n`))
  }
  const state: DemoState = { sample: { state: 'loading', loaded: 0, total: 0 }, restarts: 0 }
  return { sample, state, hear: (message) => hear(state, message) }
}

function hear(state: DemoState, message: unknown): void {
  if (typeof message !== 'object' || message === null) return
  const { sample, restarts } = message as Partial<DemoState>
  if (typeof sample === 'object') state.sample = sample
  if (typeof restarts === 'number') state.restarts = restarts
}

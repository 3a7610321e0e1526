import { describe } from 'vitest'
import { MemoryTenantStore } from './memory-tenant-store.ts'
import { tenantStoreContract } from './tenant-store.contract.ts'

describe('memory tenant store', () =>
  tenantStoreContract(() => ({ store: new MemoryTenantStore() })))

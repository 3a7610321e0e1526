/**
 * The control plane without a disk: the same answers as any other store, gone with the process.
 *
 * For tests of everything that stands on the port, and the measure that other stores are held to.
 */
import { TenantIndex } from './tenant-index.ts'
import type { Client, FirstParts, Session, Source, Tenant, TenantStore } from './tenant-store.ts'

export class MemoryTenantStore implements TenantStore {
  readonly #index = new TenantIndex()
  #lastTenantNo = 0
  #lastSourceNo = 0

  tenants(): readonly Tenant[] {
    return [...this.#index.tenantsById.values()]
  }
  tenant(tenantId: string): Tenant | undefined {
    return this.#index.tenantsById.get(tenantId)
  }
  tenantByNo(tenantNo: number): Tenant | undefined {
    return this.#index.tenantsByNo.get(tenantNo)
  }

  async addTenant(
    facts: Omit<Tenant, 'tenantNo'>,
    first: FirstParts = {},
  ): Promise<Tenant | 'exists'> {
    if (this.#index.checkTenant(facts, first) === 'exists') return 'exists'
    this.#lastTenantNo += 1
    const tenant = { ...facts, tenantNo: this.#lastTenantNo }
    this.#index.putTenant(tenant)
    const { tenantNo } = tenant
    if (first.source !== undefined) await this.addSource({ ...first.source, tenantNo })
    if (first.client !== undefined) await this.addClient({ ...first.client, tenantNo })
    return tenant
  }

  sources(tenantNo: number): readonly Source[] {
    return [...(this.#index.sourcesByTenant.get(tenantNo)?.values() ?? [])]
  }
  sourceByKey(writeKey: string): Source | undefined {
    return this.#index.sourcesByKey.get(writeKey)
  }

  async addSource(facts: Omit<Source, 'sourceNo'>): Promise<Source | 'exists'> {
    if (this.#index.checkSource(facts) === 'exists') return 'exists'
    this.#lastSourceNo += 1
    const source = { ...facts, sourceNo: this.#lastSourceNo }
    this.#index.putSource(source)
    return source
  }

  async setOrigins(
    tenantNo: number,
    sourceNo: number,
    origins: readonly string[],
  ): Promise<Source | undefined> {
    const before = this.#index.sourceByNo(tenantNo, sourceNo)
    if (before === undefined) return undefined
    const source = { ...before, origins: [...origins] }
    this.#index.putSource(source)
    return source
  }

  clients(tenantNo: number): readonly Client[] {
    return [...(this.#index.clientsByTenant.get(tenantNo)?.values() ?? [])]
  }
  client(clientId: string): Client | undefined {
    return this.#index.clientsById.get(clientId)
  }

  async addClient(client: Client): Promise<Client | 'exists'> {
    if (this.#index.checkClient(client) === 'exists') return 'exists'
    this.#index.putClient(client)
    return client
  }

  async removeClient(tenantNo: number, clientId: string): Promise<boolean> {
    const client = this.#index.clientOf(tenantNo, clientId)
    if (client === undefined) return false
    this.#index.dropClient(client)
    return true
  }

  session(tokenHash: string): Session | undefined {
    return this.#index.sessions.get(tokenHash)
  }
  async addSession(session: Session, nowMs: number): Promise<void> {
    for (const ended of this.#index.sessionsToDrop(nowMs)) this.#index.sessions.delete(ended)
    this.#index.sessions.set(session.tokenHash, session)
  }
  async removeSession(tokenHash: string): Promise<void> {
    this.#index.sessions.delete(tokenHash)
  }

  close(): void {}
}

/**
 * The control plane as maps in memory: what both stores answer reads from.
 *
 * Every request asks for a key, a client or a tenant, so reads cost one map look-up and never touch
 * the disk; the whole of it is small (thousands of rows). The index also judges a change before it is
 * made (`check…`), so that every store refuses the same things, and drops nothing by itself: a store
 * changes its disk first and the index after it.
 */
import { MillraceError } from '../kit/errors.ts'
import {
  type Client,
  type FirstParts,
  SESSIONS_MAX,
  type Session,
  SOURCE_NAME_PATTERN,
  type Source,
  TENANT_ID_PATTERN,
  type Tenant,
} from './tenant-store.ts'

export class TenantIndex {
  readonly tenantsById = new Map<string, Tenant>()
  readonly tenantsByNo = new Map<number, Tenant>()
  readonly sourcesByKey = new Map<string, Source>()
  readonly sourcesByTenant = new Map<number, Map<string, Source>>()
  readonly clientsById = new Map<string, Client>()
  readonly clientsByTenant = new Map<number, Map<string, Client>>()
  readonly sessions = new Map<string, Session>()

  checkTenant(tenant: Omit<Tenant, 'tenantNo'>, first: FirstParts): 'exists' | undefined {
    if (!TENANT_ID_PATTERN.test(tenant.tenantId)) throw badName('tenant id', tenant.tenantId)
    if (first.source !== undefined) checkSourceName(first.source.name)
    if (this.tenantsById.has(tenant.tenantId)) return 'exists'
    if (first.source !== undefined && this.sourcesByKey.has(first.source.writeKey)) return 'exists'
    if (first.client !== undefined && this.clientsById.has(first.client.clientId)) return 'exists'
    return undefined
  }

  checkSource(source: Omit<Source, 'sourceNo'>): 'exists' | undefined {
    checkSourceName(source.name)
    this.#checkTenantNo(source.tenantNo)
    if (this.sourcesByKey.has(source.writeKey)) return 'exists'
    return this.sourcesByTenant.get(source.tenantNo)?.has(source.name) ? 'exists' : undefined
  }

  checkClient(client: Client): 'exists' | undefined {
    this.#checkTenantNo(client.tenantNo)
    return this.clientsById.has(client.clientId) ? 'exists' : undefined
  }

  #checkTenantNo(tenantNo: number): void {
    if (this.tenantsByNo.has(tenantNo)) return
    throw new MillraceError('bad_input', `there is no tenant number ${tenantNo}`)
  }

  sourceByNo(tenantNo: number, sourceNo: number): Source | undefined {
    const own = this.sourcesByTenant.get(tenantNo)?.values() ?? []
    for (const source of own) if (source.sourceNo === sourceNo) return source
    return undefined
  }

  clientOf(tenantNo: number, clientId: string): Client | undefined {
    return this.clientsByTenant.get(tenantNo)?.get(clientId)
  }

  putTenant(tenant: Tenant): void {
    this.tenantsById.set(tenant.tenantId, tenant)
    this.tenantsByNo.set(tenant.tenantNo, tenant)
    this.sourcesByTenant.set(tenant.tenantNo, new Map())
    this.clientsByTenant.set(tenant.tenantNo, new Map())
  }

  putSource(source: Source): void {
    this.sourcesByKey.set(source.writeKey, source)
    this.sourcesByTenant.get(source.tenantNo)?.set(source.name, source)
  }

  putClient(client: Client): void {
    this.clientsById.set(client.clientId, client)
    this.clientsByTenant.get(client.tenantNo)?.set(client.clientId, client)
  }

  dropClient(client: Client): void {
    this.clientsById.delete(client.clientId)
    this.clientsByTenant.get(client.tenantNo)?.delete(client.clientId)
    for (const session of this.sessions.values()) {
      if (session.clientId === client.clientId) this.sessions.delete(session.tokenHash)
    }
  }

  /** Token hashes of the sessions that one more pushes out. */
  sessionsToDrop(nowMs: number): readonly string[] {
    const live: Session[] = []
    const ended: string[] = []
    for (const session of this.sessions.values()) {
      if (session.expiresMs <= nowMs) ended.push(session.tokenHash)
      else live.push(session)
    }
    const surplus = live.length + 1 - SESSIONS_MAX
    if (surplus > 0) {
      live.sort((a, b) => a.expiresMs - b.expiresMs)
      for (const session of live.slice(0, surplus)) ended.push(session.tokenHash)
    }
    return ended
  }
}

function checkSourceName(name: string): void {
  if (!SOURCE_NAME_PATTERN.test(name)) throw badName('source name', name)
}

function badName(what: string, value: string): MillraceError {
  const pattern = what === 'tenant id' ? TENANT_ID_PATTERN : SOURCE_NAME_PATTERN
  return new MillraceError(
    'bad_input',
    `${JSON.stringify(value)} is no ${what}: ${pattern.source.slice(1, -1)}`,
  )
}

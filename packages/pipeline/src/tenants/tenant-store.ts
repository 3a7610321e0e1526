/**
 * The control plane at rest: tenants, their sources, OAuth clients and console sessions.
 *
 * Every change is durable when its promise resolves. Secrets never are: only their SHA-256 is kept
 * (they are 256 random bits, so a slow hash would add nothing). A write key is not a secret (it stands
 * in web pages) and is kept as it is.
 */

export const SCOPES = [
  'events:write',
  'events:read',
  'events:admin',
  'sql:read',
  'views:read',
  'views:write',
  'insights:read',
  'personalize',
  'privacy',
  'lake:read',
  'admin',
] as const
export type Scope = (typeof SCOPES)[number]

/** What a tenant's first client may do: everything of its own, nothing of the deployment's. */
export const TENANT_SCOPES: readonly Scope[] = SCOPES.filter((scope) => scope !== 'admin')

/** `[a-z][a-z0-9_]{0,40}`: a tenant's id names its namespace in the lake. */
export const TENANT_ID_PATTERN = /^[a-z][a-z0-9_]{0,40}$/
/** A source's name, unique per tenant; it stands in addresses and in the column `source`. */
export const SOURCE_NAME_PATTERN = /^[a-z0-9][a-z0-9_-]{0,39}$/
/** Logins kept at once; the one that ends first makes room. */
export const SESSIONS_MAX = 10_000

export interface Tenant {
  /** Small number that stands for the tenant in the log. Never reused. */
  readonly tenantNo: number
  readonly tenantId: string
  readonly name: string
  /** Its data were made up by `simulate`: shown wherever it appears. */
  readonly synthetic: boolean
  readonly createdMs: number
}

export interface Source {
  /** Small number that stands for the source in the log. Unique over all tenants, never reused. */
  readonly sourceNo: number
  readonly tenantNo: number
  readonly name: string
  /** Public; `wk_` and 32 hex digits. */
  readonly writeKey: string
  /** Origins (`https://shop.example`) that may send; empty: any. */
  readonly origins: readonly string[]
  readonly createdMs: number
}

export interface Client {
  readonly clientId: string
  readonly tenantNo: number
  readonly name: string
  readonly scopes: readonly Scope[]
  /** Lower-case hex SHA-256 of the secret. */
  readonly secretHash: string
  readonly createdMs: number
}

/** A console login. It may act for several tenants (the demo shows two); a request names one. */
export interface Session {
  /** Lower-case hex SHA-256 of the cookie's token. */
  readonly tokenHash: string
  /** The client that logged in: its removal ends the session. Null after a one-time link. */
  readonly clientId: string | null
  readonly grants: readonly Grant[]
  readonly expiresMs: number
}

export interface Grant {
  readonly tenantNo: number
  readonly scopes: readonly Scope[]
}

/** What a tenant is born with. */
export interface FirstParts {
  readonly source?: Omit<Source, 'sourceNo' | 'tenantNo'>
  readonly client?: Omit<Client, 'tenantNo'>
}

/**
 * Absence is `undefined`; a taken id or name is 'exists'. A name that breaks its pattern and a tenant
 * that does not exist are MillraceError `bad_input`. Reads never touch the disk. Lists are in the
 * order of their making. One process at a time: another one's changes would not be seen.
 */
export interface TenantStore {
  tenants(): readonly Tenant[]
  tenant(tenantId: string): Tenant | undefined
  tenantByNo(tenantNo: number): Tenant | undefined
  /** The tenant with its first parts, all or nothing. */
  addTenant(tenant: Omit<Tenant, 'tenantNo'>, first?: FirstParts): Promise<Tenant | 'exists'>

  sources(tenantNo: number): readonly Source[]
  sourceByKey(writeKey: string): Source | undefined
  addSource(source: Omit<Source, 'sourceNo'>): Promise<Source | 'exists'>
  /** Replaces the origins; undefined when there is no such source of this tenant. */
  setOrigins(
    tenantNo: number,
    sourceNo: number,
    origins: readonly string[],
  ): Promise<Source | undefined>

  clients(tenantNo: number): readonly Client[]
  client(clientId: string): Client | undefined
  addClient(client: Client): Promise<Client | 'exists'>
  /** Ends its sessions as well. False when this tenant had no such client. */
  removeClient(tenantNo: number, clientId: string): Promise<boolean>

  /** May be past its `expiresMs`: the caller looks. */
  session(tokenHash: string): Session | undefined
  /** Drops those that ended before `nowMs`, and the first to end above `SESSIONS_MAX`. */
  addSession(session: Session, nowMs: number): Promise<void>
  removeSession(tokenHash: string): Promise<void>

  /** Idempotent. */
  close(): void
}

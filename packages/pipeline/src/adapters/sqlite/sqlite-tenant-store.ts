/**
 * The control plane in `DIR/control.db`: SQLite, write-ahead log, every change synced before it is
 * answered (`synchronous=FULL`), reads from an index in memory.
 *
 * The index is right only while nobody else writes, so the database is locked for as long as it is
 * open: a second process gets `data_in_use` instead of stale answers. A change is judged by the index,
 * committed, and only then shown to readers; a crash at any line leaves it done or undone, never half.
 * Rows that are deleted are overwritten (`secure_delete`): a removed login leaves no hash behind.
 */
import { closeSync, constants, fsyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'libsql'
import { MillraceError } from '../../kit/errors.ts'
import { TenantIndex } from '../../tenants/tenant-index.ts'
import type {
  Client,
  FirstParts,
  Session,
  Source,
  Tenant,
  TenantStore,
} from '../../tenants/tenant-store.ts'

/** `user_version` of the schema below. */
export const SCHEMA_VERSION = 1
/** How long to wait for a lock that another process is about to give back. */
const LOCK_WAIT_MS = 500

// AUTOINCREMENT: a number stands in the log for ever and must not be given to another tenant.
const SCHEMA = `
CREATE TABLE tenants (
  tenant_no INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  synthetic INTEGER NOT NULL CHECK (synthetic IN (0, 1)),
  created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE sources (
  source_no INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_no INTEGER NOT NULL REFERENCES tenants,
  name TEXT NOT NULL,
  write_key TEXT NOT NULL UNIQUE,
  origins TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  UNIQUE (tenant_no, name)
) STRICT;
CREATE TABLE clients (
  client_id TEXT PRIMARY KEY,
  tenant_no INTEGER NOT NULL REFERENCES tenants,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  secret_hash TEXT NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE sessions (
  token_hash TEXT PRIMARY KEY,
  client_id TEXT REFERENCES clients ON DELETE CASCADE,
  grants TEXT NOT NULL,
  expires_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_client ON sessions (client_id);
PRAGMA user_version = ${SCHEMA_VERSION};
`

/** Opens or makes the database; throws MillraceError `data_newer`, `data_in_use`, `data_damaged` … */
export function openSqliteTenantStore(path: string): TenantStore {
  let database: Database.Database | undefined
  try {
    makePrivate(path)
    database = new Database(path, { timeout: LOCK_WAIT_MS })
    for (const setting of [
      'locking_mode = EXCLUSIVE',
      'journal_mode = WAL',
      'synchronous = FULL',
      'foreign_keys = ON',
      'secure_delete = ON',
    ]) {
      database.pragma(setting)
    }
    upgrade(database, path)
    return new SqliteTenantStore(database, path)
  } catch (error) {
    if (database !== undefined) release(database)
    throw explain(error, path)
  }
}

/**
 * Closes, and gives the lock back at once. libsql keeps a connection for as long as one of its statements
 * lives, which only the garbage collector ends; so the lock is taken off by hand: out of the write-ahead
 * log first (it cannot change its locking), then one read under the ordinary locking.
 */
function release(database: Database.Database): void {
  try {
    database.pragma('journal_mode = DELETE')
    database.pragma('locking_mode = NORMAL')
    database.prepare('SELECT count(*) FROM sqlite_schema').all()
  } catch {
    // Another process holds it, or the disk failed: there is no lock of ours, or no way to lift it.
  }
  database.close()
}

class SqliteTenantStore implements TenantStore {
  readonly #database: Database.Database
  readonly #path: string
  readonly #index = new TenantIndex()
  #open = true

  constructor(database: Database.Database, path: string) {
    this.#database = database
    this.#path = path
    const rows = (table: string) =>
      database.prepare(`SELECT * FROM ${table} ORDER BY rowid`).all() as Row[]
    for (const row of rows('tenants')) this.#index.putTenant(tenantOf(row))
    for (const row of rows('sources')) this.#index.putSource(sourceOf(row))
    for (const row of rows('clients')) this.#index.putClient(clientOf(row))
    for (const row of rows('sessions')) {
      this.#index.sessions.set(String(row.token_hash), sessionOf(row))
    }
  }

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
    const made = this.#commit(() => {
      const tenantNo = this.#insert(
        'INSERT INTO tenants (tenant_id, name, synthetic, created_ms) VALUES (?, ?, ?, ?)',
        [facts.tenantId, facts.name, facts.synthetic ? 1 : 0, facts.createdMs],
      )
      const source = first.source && this.#insertSource({ ...first.source, tenantNo })
      const client = first.client && { ...first.client, tenantNo }
      if (client) this.#insertClient(client)
      return { tenant: { ...facts, tenantNo }, source, client }
    })
    this.#index.putTenant(made.tenant)
    if (made.source) this.#index.putSource(made.source)
    if (made.client) this.#index.putClient(made.client)
    return made.tenant
  }

  sources(tenantNo: number): readonly Source[] {
    return [...(this.#index.sourcesByTenant.get(tenantNo)?.values() ?? [])]
  }
  sourceByKey(writeKey: string): Source | undefined {
    return this.#index.sourcesByKey.get(writeKey)
  }

  async addSource(facts: Omit<Source, 'sourceNo'>): Promise<Source | 'exists'> {
    if (this.#index.checkSource(facts) === 'exists') return 'exists'
    const source = this.#commit(() => this.#insertSource(facts))
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
    this.#commit(() =>
      this.#run('UPDATE sources SET origins = ? WHERE source_no = ?', [
        JSON.stringify(origins),
        sourceNo,
      ]),
    )
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
    this.#commit(() => this.#insertClient(client))
    this.#index.putClient(client)
    return client
  }

  async removeClient(tenantNo: number, clientId: string): Promise<boolean> {
    const client = this.#index.clientOf(tenantNo, clientId)
    if (client === undefined) return false
    this.#commit(() => this.#run('DELETE FROM clients WHERE client_id = ?', [clientId]))
    this.#index.dropClient(client)
    return true
  }

  session(tokenHash: string): Session | undefined {
    return this.#index.sessions.get(tokenHash)
  }

  async addSession(session: Session, nowMs: number): Promise<void> {
    const ended = this.#index.sessionsToDrop(nowMs)
    this.#commit(() => {
      for (const hash of ended) this.#run('DELETE FROM sessions WHERE token_hash = ?', [hash])
      this.#insert('INSERT INTO sessions VALUES (?, ?, ?, ?)', [
        session.tokenHash,
        session.clientId,
        JSON.stringify(session.grants),
        session.expiresMs,
      ])
    })
    for (const hash of ended) this.#index.sessions.delete(hash)
    this.#index.sessions.set(session.tokenHash, session)
  }

  async removeSession(tokenHash: string): Promise<void> {
    if (!this.#index.sessions.has(tokenHash)) return
    this.#commit(() => this.#run('DELETE FROM sessions WHERE token_hash = ?', [tokenHash]))
    this.#index.sessions.delete(tokenHash)
  }

  close(): void {
    if (this.#open) release(this.#database)
    this.#open = false
  }

  #insertSource(facts: Omit<Source, 'sourceNo'>): Source {
    const sourceNo = this.#insert(
      `INSERT INTO sources (tenant_no, name, write_key, origins, created_ms)
       VALUES (?, ?, ?, ?, ?)`,
      [facts.tenantNo, facts.name, facts.writeKey, JSON.stringify(facts.origins), facts.createdMs],
    )
    return { ...facts, sourceNo }
  }

  #insertClient(client: Client): void {
    this.#insert('INSERT INTO clients VALUES (?, ?, ?, ?, ?, ?)', [
      client.clientId,
      client.tenantNo,
      client.name,
      JSON.stringify(client.scopes),
      client.secretHash,
      client.createdMs,
    ])
  }

  #insert(sql: string, values: readonly Value[]): number {
    return Number(this.#run(sql, values).lastInsertRowid)
  }
  #run(sql: string, values: readonly Value[]): Database.RunResult {
    return this.#database.prepare(sql).run(...values)
  }

  /** All of `change` or nothing, on stable storage on return. */
  #commit<T>(change: () => T): T {
    try {
      return this.#database.transaction(change)() as T
    } catch (error) {
      throw explain(error, this.#path)
    }
  }
}

type Value = string | number | null
type Row = Readonly<Record<string, Value>>

const tenantOf = (row: Row): Tenant => ({
  tenantNo: Number(row.tenant_no),
  tenantId: String(row.tenant_id),
  name: String(row.name),
  synthetic: row.synthetic === 1,
  createdMs: Number(row.created_ms),
})

const sourceOf = (row: Row): Source => ({
  sourceNo: Number(row.source_no),
  tenantNo: Number(row.tenant_no),
  name: String(row.name),
  writeKey: String(row.write_key),
  origins: JSON.parse(String(row.origins)) as string[],
  createdMs: Number(row.created_ms),
})

const clientOf = (row: Row): Client => ({
  clientId: String(row.client_id),
  tenantNo: Number(row.tenant_no),
  name: String(row.name),
  scopes: JSON.parse(String(row.scopes)) as Client['scopes'],
  secretHash: String(row.secret_hash),
  createdMs: Number(row.created_ms),
})

const sessionOf = (row: Row): Session => ({
  tokenHash: String(row.token_hash),
  clientId: row.client_id === null ? null : String(row.client_id),
  grants: JSON.parse(String(row.grants)) as Session['grants'],
  expiresMs: Number(row.expires_ms),
})

/**
 * The file exists with mode 0600 before SQLite sees it (SQLite gives its companions the same mode),
 * and its name is durable: a commit in a file that a power cut unlinks would be no commit.
 */
function makePrivate(path: string): void {
  closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600))
  if (process.platform === 'win32') return
  const folder = openSync(dirname(path), constants.O_RDONLY)
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

function upgrade(database: Database.Database, path: string): void {
  const row = database.prepare('PRAGMA user_version').all()[0] as { user_version: number }
  const version = row.user_version
  if (version > SCHEMA_VERSION) {
    throw new MillraceError(
      'data_newer',
      `${path} has schema version ${version}; this program knows ${SCHEMA_VERSION}`,
    )
  }
  if (version === 0) database.transaction(() => database.exec(SCHEMA))()
}

const CODES = [
  ['SQLITE_BUSY', 'data_in_use'],
  ['SQLITE_LOCKED', 'data_in_use'],
  ['SQLITE_FULL', 'disk_full'],
  ['SQLITE_IOERR', 'disk_failed'],
  ['SQLITE_CORRUPT', 'data_damaged'],
  ['SQLITE_NOTADB', 'data_damaged'],
  ['SQLITE_CANTOPEN', 'data_unreadable'],
  ['SQLITE_READONLY', 'data_unreadable'],
  ['SQLITE_PERM', 'data_unreadable'],
  ['ENOSPC', 'disk_full'],
  ['EIO', 'disk_failed'],
  ['ENOENT', 'data_unreadable'],
  ['EACCES', 'data_unreadable'],
  ['EISDIR', 'data_unreadable'],
] as const

/** A fault that a person can act on as a MillraceError; anything else as it is. */
function explain(error: unknown, path: string): unknown {
  if (error instanceof MillraceError || !(error instanceof Error)) return error
  const code = String((error as { code?: unknown }).code ?? '')
  // Extended codes (SQLITE_IOERR_WRITE) begin with the primary one.
  const known = CODES.find(([prefix]) => code.startsWith(prefix))?.[1]
  if (known === undefined) return error
  return new MillraceError(known, `${path}: ${error.message}`, { cause: error })
}

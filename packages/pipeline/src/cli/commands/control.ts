/** `millrace tenant | client | source`: the control plane from the terminal. */
import { type ConnectionFlags, connect } from '../connection.ts'
import { textTable } from '../table.ts'

interface List {
  readonly items: readonly Record<string, unknown>[]
}

async function show(
  flags: ConnectionFlags,
  path: string,
  columns: readonly string[],
): Promise<void> {
  const { items } = await (await connect(flags)).json<List>('GET', path)
  const rows = items.map((item) => columns.map((column) => cell(column, item[column])))
  process.stdout.write(`${textTable(columns, rows)}\n`)
}

function cell(column: string, value: unknown): unknown {
  if (column.endsWith('Ms') && typeof value === 'number') return new Date(value).toISOString()
  if (Array.isArray(value)) return value.length === 0 ? 'any' : value.join(' ')
  return value
}

/** Secrets are shown once, here: as JSON, so that a script can keep them. */
function print(made: unknown): void {
  process.stdout.write(`${JSON.stringify(made, null, 2)}\n`)
}

export function listTenants(flags: ConnectionFlags): Promise<void> {
  return show(flags, '/v1/tenants', ['tenantId', 'name', 'synthetic', 'createdMs'])
}

export async function createTenant(
  tenantId: string,
  flags: ConnectionFlags & { name?: string },
): Promise<void> {
  const body = { tenantId, ...(flags.name === undefined ? {} : { name: flags.name }) }
  print(await (await connect(flags)).json('POST', '/v1/tenants', body))
}

export function listClients(flags: ConnectionFlags): Promise<void> {
  return show(flags, '/v1/clients', ['clientId', 'name', 'scopes', 'createdMs'])
}

export async function createClient(
  name: string,
  flags: ConnectionFlags & { scopes: string },
): Promise<void> {
  const scopes = flags.scopes.split(/[\s,]+/).filter(Boolean)
  print(await (await connect(flags)).json('POST', '/v1/clients', { name, scopes }))
}

export async function removeClient(clientId: string, flags: ConnectionFlags): Promise<void> {
  await (await connect(flags)).call('DELETE', `/v1/clients/${encodeURIComponent(clientId)}`)
  process.stdout.write(`removed ${clientId}\n`)
}

export function listSources(flags: ConnectionFlags): Promise<void> {
  return show(flags, '/v1/sources', ['name', 'writeKey', 'origins', 'createdMs'])
}

export async function createSource(
  name: string,
  flags: ConnectionFlags & { origin?: string[] },
): Promise<void> {
  print(
    await (await connect(flags)).json('POST', '/v1/sources', { name, origins: flags.origin ?? [] }),
  )
}

export async function allowOrigins(
  name: string,
  origins: readonly string[],
  flags: ConnectionFlags,
): Promise<void> {
  const body = { origins: origins.includes('any') ? [] : origins }
  print(await (await connect(flags)).json('PUT', `/v1/sources/${encodeURIComponent(name)}`, body))
}

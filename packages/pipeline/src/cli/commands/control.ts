/** `millrace tenant | client | source`: the control plane from the terminal. */
import { type Connection, type ConnectionFlags, connect } from '../connection.ts'
import { printable, textTable } from '../table.ts'

interface List {
  readonly items: readonly (Record<string, unknown> & { readonly createdMs: number })[]
}

/** The items of a list as a table, with when each was made as its last column. */
async function show(
  connection: Connection,
  path: string,
  members: readonly string[],
): Promise<List['items']> {
  const { items } = await connection.json<List>('GET', path)
  const rows = items.map((item) => [
    ...members.map((member) => cell(item[member])),
    new Date(item.createdMs).toISOString(),
  ])
  process.stdout.write(`${textTable([...members, 'created'], rows)}\n`)
  return items
}

function cell(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? 'any' : value.join(' ')
  return value
}

/** Secrets are shown once, here: as JSON, so that a script can keep them. */
function print(made: unknown): void {
  process.stdout.write(`${JSON.stringify(made, null, 2)}\n`)
}

export async function listTenants(flags: ConnectionFlags): Promise<void> {
  await show(await connect(flags), '/v1/tenants', ['tenantId', 'name', 'synthetic'])
}

export async function createTenant(
  tenantId: string,
  flags: ConnectionFlags & { name?: string },
): Promise<void> {
  const body = { tenantId, ...(flags.name === undefined ? {} : { name: flags.name }) }
  print(await (await connect(flags)).json('POST', '/v1/tenants', body))
}

export async function listClients(flags: ConnectionFlags): Promise<void> {
  await show(await connect(flags), '/v1/clients', ['clientId', 'name', 'scopes'])
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

export async function listSources(flags: ConnectionFlags): Promise<void> {
  const connection = await connect(flags)
  const [first] = await show(connection, '/v1/sources', ['name', 'writeKey', 'origins'])
  if (first === undefined) return
  const [name, writeKey] = [first.name, first.writeKey].map((text) => printable(String(text)))
  const snippet = `<script async src="${connection.url}/m.js" data-key="${writeKey}"></script>`
  process.stdout.write(`\nInto the pages of ${name}:\n\n  ${snippet}\n`)
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

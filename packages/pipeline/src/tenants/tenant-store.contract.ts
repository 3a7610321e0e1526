/**
 * What every tenant store promises; each implementation's test calls this with a way to open one.
 *
 * `reopen` gives a store that saw the same changes and shares no memory with the first; a store that
 * keeps nothing leaves it out.
 */
import { expect, test } from 'vitest'
import type { Client, Session, Source, Tenant, TenantStore } from './tenant-store.ts'

export interface StoreUnderTest {
  readonly store: TenantStore
  readonly reopen?: () => TenantStore
}

const NOW_MS = 1_700_000_000_000

const acme = { tenantId: 'acme', name: 'Acme', synthetic: false, createdMs: NOW_MS }
const source = (name: string, key: string) => ({
  name,
  writeKey: `wk_${key.padStart(32, '0')}`,
  origins: ['https://shop.example'],
  createdMs: NOW_MS,
})
const client = (clientId: string) => ({
  clientId,
  name: 'job',
  scopes: ['sql:read', 'events:read'] as const,
  secretHash: 'ab'.repeat(32),
  createdMs: NOW_MS,
})
const session = (tokenHash: string, more: Partial<Session> = {}): Session => ({
  tokenHash,
  clientId: null,
  grants: [{ tenantNo: 1, scopes: ['sql:read'] }],
  expiresMs: NOW_MS + 1_000,
  ...more,
})

async function made<T>(promise: Promise<T | 'exists'>): Promise<T> {
  const result = await promise
  if (result === 'exists') throw new Error('exists')
  return result
}

export function tenantStoreContract(open: () => StoreUnderTest): void {
  test('an empty store has nothing, and absence is undefined', () => {
    const { store } = open()
    expect(store.tenants()).toEqual([])
    expect(store.tenant('acme')).toBeUndefined()
    expect(store.tenantByNo(1)).toBeUndefined()
    expect(store.sources(1)).toEqual([])
    expect(store.sourceByKey('wk_0')).toBeUndefined()
    expect(store.clients(1)).toEqual([])
    expect(store.client('cl_0')).toBeUndefined()
    expect(store.session('00')).toBeUndefined()
  })

  test('a tenant is found by id and by number, and its id is taken once', async () => {
    const { store } = open()
    const tenant = await made(store.addTenant(acme))
    expect(tenant).toEqual({ ...acme, tenantNo: tenant.tenantNo })
    expect(store.tenant('acme')).toEqual(tenant)
    expect(store.tenantByNo(tenant.tenantNo)).toEqual(tenant)
    expect(await store.addTenant({ ...acme, name: 'Another' })).toBe('exists')
    expect(store.tenants()).toEqual([tenant])
  })

  test('a tenant comes with its first parts or not at all', async () => {
    const { store } = open()
    const first = { source: source('web', '1'), client: client('cl_1') }
    const { tenantNo } = await made(store.addTenant(acme, first))
    expect(store.sourceByKey(first.source.writeKey)).toMatchObject({ tenantNo, name: 'web' })
    expect(store.client('cl_1')).toEqual({ ...first.client, tenantNo })

    const other = { ...acme, tenantId: 'other' }
    expect(await store.addTenant(other, { client: client('cl_1') })).toBe('exists')
    expect(await store.addTenant(other, { source: source('web', '1') })).toBe('exists')
    await expect(store.addTenant(other, { source: source('Web', '2') })).rejects.toThrow()
    expect(store.tenant('other')).toBeUndefined()
    expect(store.tenants()).toHaveLength(1)
  })

  test.each(['', 'Acme', '1a', 'a-b', 'a'.repeat(42), 'ä', 'a\n', '__proto__'])(
    'the tenant id %j is refused',
    async (tenantId) => {
      const { store } = open()
      await expect(store.addTenant({ ...acme, tenantId })).rejects.toMatchObject({
        code: 'bad_input',
      })
    },
  )

  test.each(['', 'Web', '-a', '_a', 'a.b', 'a/b', 'a'.repeat(41), 'a\n'])(
    'the source name %j is refused',
    async (name) => {
      const { store } = open()
      const { tenantNo } = await made(store.addTenant(acme))
      const refused = store.addSource({ ...source('web', '1'), name, tenantNo })
      await expect(refused).rejects.toMatchObject({ code: 'bad_input' })
    },
  )

  test('a source name is unique per tenant, a write key over all of them', async () => {
    const { store } = open()
    const a = await made(store.addTenant(acme))
    const b = await made(store.addTenant({ ...acme, tenantId: 'acme2' }))
    const add = (tenant: Tenant, name: string, key: string) =>
      store.addSource({ ...source(name, key), tenantNo: tenant.tenantNo })
    const first = await made<Source>(add(a, 'web', '1'))
    expect(await add(a, 'web', '2')).toBe('exists')
    const second = await made<Source>(add(b, 'web', '3'))
    expect(await add(b, 'app', '1')).toBe('exists')
    expect(second.sourceNo).not.toBe(first.sourceNo)
    expect(store.sources(a.tenantNo)).toEqual([first])
    expect(store.sources(b.tenantNo)).toEqual([second])
  })

  test('origins are replaced for the own source only', async () => {
    const { store } = open()
    const a = await made(store.addTenant(acme))
    const b = await made(store.addTenant({ ...acme, tenantId: 'b' }))
    const web = await made(store.addSource({ ...source('web', '1'), tenantNo: a.tenantNo }))
    expect(await store.setOrigins(b.tenantNo, web.sourceNo, [])).toBeUndefined()
    expect(store.sourceByKey(web.writeKey)?.origins).toEqual(['https://shop.example'])
    const changed = await store.setOrigins(a.tenantNo, web.sourceNo, ['https://x.example'])
    expect(changed).toEqual({ ...web, origins: ['https://x.example'] })
    expect(store.sourceByKey(web.writeKey)).toEqual(changed)
    expect(store.sources(a.tenantNo)).toEqual([changed])
  })

  test('a source or client of a tenant that does not exist is refused', async () => {
    const { store } = open()
    const lost = { tenantNo: 99 }
    const bad = { code: 'bad_input' }
    await expect(store.addSource({ ...source('web', '1'), ...lost })).rejects.toMatchObject(bad)
    await expect(store.addClient({ ...client('cl_1'), ...lost })).rejects.toMatchObject(bad)
  })

  test('a client is removed by its own tenant only, and its sessions end with it', async () => {
    const { store } = open()
    const { tenantNo } = await made(store.addTenant(acme))
    const job = await made<Client>(store.addClient({ ...client('cl_1'), tenantNo }))
    expect(await store.addClient(job)).toBe('exists')
    await store.addSession(session('s1', { clientId: 'cl_1' }), NOW_MS)
    await store.addSession(session('s2'), NOW_MS)
    expect(await store.removeClient(tenantNo + 1, 'cl_1')).toBe(false)
    expect(store.clients(tenantNo)).toEqual([job])
    expect(await store.removeClient(tenantNo, 'cl_1')).toBe(true)
    expect(await store.removeClient(tenantNo, 'cl_1')).toBe(false)
    expect(store.client('cl_1')).toBeUndefined()
    expect(store.clients(tenantNo)).toEqual([])
    expect(store.session('s1')).toBeUndefined()
    expect(store.session('s2')).toBeDefined()
  })

  test('a new session drops those that ended', async () => {
    const { store } = open()
    await store.addSession(session('old', { expiresMs: NOW_MS - 1 }), NOW_MS - 10)
    await store.addSession(session('live'), NOW_MS - 10)
    expect(store.session('old')).toBeDefined()
    await store.addSession(session('new'), NOW_MS)
    expect(store.session('old')).toBeUndefined()
    expect(store.session('live')).toEqual(session('live'))
    await store.removeSession('live')
    await store.removeSession('live')
    expect(store.session('live')).toBeUndefined()
  })

  test('what was changed is there after reopening, in the same order', async () => {
    const { store, reopen } = open()
    if (reopen === undefined) return
    const { tenantNo } = await made(store.addTenant(acme, { client: client('cl_1') }))
    await made(store.addTenant({ ...acme, tenantId: 'aaa', synthetic: true }))
    const web = await made(store.addSource({ ...source('web', '1'), tenantNo }))
    await made(store.addSource({ ...source('app', '2'), tenantNo }))
    await store.setOrigins(tenantNo, web.sourceNo, [])
    await made(store.addClient({ ...client('cl_0'), tenantNo }))
    await made(store.addClient({ ...client('cl_2'), tenantNo }))
    await store.removeClient(tenantNo, 'cl_0')
    await store.addSession(session('s1', { clientId: 'cl_1' }), NOW_MS)
    await store.addSession(session('s2', { clientId: 'cl_2' }), NOW_MS)
    await store.removeSession('s2')
    await store.addSession(session('s3', { clientId: 'cl_2' }), NOW_MS)
    await store.removeClient(tenantNo, 'cl_2')

    const facts = (from: TenantStore) => ({
      tenants: from.tenants(),
      sources: from.sources(tenantNo),
      clients: from.clients(tenantNo),
      sessions: ['s1', 's2', 's3'].map((hash) => from.session(hash)),
    })
    const before = facts(store)
    expect(before.sources.map(({ name }) => name)).toEqual(['web', 'app'])
    expect(before.sessions.map((found) => found !== undefined)).toEqual([true, false, false])
    expect(facts(reopen())).toEqual(before)
  })
}

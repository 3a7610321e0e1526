import { problem } from '@millrace/protocol'
import { beforeEach, describe, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { createTenant } from '../tenants/create-tenant.ts'
import { MemoryTenantStore } from '../tenants/memory-tenant-store.ts'
import type { Tenant } from '../tenants/tenant-store.ts'
import { admit } from './admit.ts'

const SHOP = 'https://shop.example'
const refused = problem('unauthorized', 'no such token')
let store: MemoryTenantStore
let tenant: Tenant
let openKey: string

beforeEach(async () => {
  store = new MemoryTenantStore()
  const made = await createTenant(
    { store, clock: systemClock, random: systemRandom },
    { tenantId: 'acme' },
  )
  if (made === 'exists') throw new Error('a new store is empty')
  tenant = made.tenant
  openKey = made.writeKey
  const { tenantNo } = tenant
  await store.addSource({
    tenantNo,
    name: 'shop',
    writeKey: 'wk_shop',
    origins: [SHOP],
    createdMs: 0,
  })
})

const bearer = async (headers: { authorization?: string | undefined }) =>
  headers.authorization === 'Bearer good' ? { tenant } : refused
const byKey = (writeKey: string | undefined, origin?: string) =>
  admit(store, bearer, {
    writeKey,
    headers: origin === undefined ? {} : { origin },
    sourceName: undefined,
  })
const byToken = (token: string, sourceName?: string) =>
  admit(store, bearer, {
    writeKey: 'wk_shop',
    headers: { authorization: `Bearer ${token}` },
    sourceName,
  })

describe('a write key', () => {
  test('names tenant and source, and is no server', async () => {
    expect(await byKey('wk_shop')).toMatchObject({
      tenantNo: tenant.tenantNo,
      source: { name: 'shop' },
      server: false,
    })
  })

  test('that is missing or unknown is 401', async () => {
    expect(await byKey(undefined)).toMatchObject({
      status: 401,
      detail: 'no write key and no token',
    })
    expect(await byKey('wk_other')).toMatchObject({ status: 401 })
    expect(await byKey('')).toMatchObject({ status: 401 })
  })
})

describe('origins', () => {
  test('a source that lists none takes all', async () => {
    expect(await byKey(openKey, 'https://anywhere.example')).toMatchObject({ server: false })
  })

  test('a source that lists some takes these, and senders that are no browser', async () => {
    expect(await byKey('wk_shop', SHOP)).toMatchObject({ server: false })
    expect(await byKey('wk_shop')).toMatchObject({ server: false })
  })

  test.each([
    'https://evil.example',
    'http://shop.example',
    `${SHOP}:8443`,
    `${SHOP}.evil.example`,
    'null',
    '',
  ])('%j is foreign to it', async (origin) => {
    expect(await byKey('wk_shop', origin)).toMatchObject({ code: 'forbidden_origin', status: 403 })
  })
})

describe('a token', () => {
  test('is asked before the write key, and is a server', async () => {
    expect(await byToken('good')).toMatchObject({ source: { name: 'web' }, server: true })
    expect(await byToken('bad')).toEqual(refused)
  })

  test('names another source of its tenant with ?source=', async () => {
    expect(await byToken('good', 'shop')).toMatchObject({ source: { name: 'shop' }, server: true })
    expect(await byToken('good', 'nope')).toMatchObject({ status: 404, detail: 'no source "nope"' })
  })
})

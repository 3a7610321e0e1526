import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import Database from 'libsql'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../../kit/clock.ts'
import { createClient } from '../../tenants/create-tenant.ts'
import { tenantStoreContract } from '../../tenants/tenant-store.contract.ts'
import type { TenantStore } from '../../tenants/tenant-store.ts'
import { openSqliteTenantStore, SCHEMA_VERSION } from './sqlite-tenant-store.ts'

const folders: string[] = []
const stores: TenantStore[] = []

function freshPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-control-'))
  folders.push(folder)
  return join(folder, 'control.db')
}
function open(path: string): TenantStore {
  const store = openSqliteTenantStore(path)
  stores.push(store)
  return store
}

afterEach(() => {
  for (const store of stores.splice(0)) store.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

const acme = { tenantId: 'acme', name: 'Acme', synthetic: false, createdMs: 1 }

describe('sqlite tenant store', () => {
  tenantStoreContract(() => {
    const path = freshPath()
    const store = open(path)
    return {
      store,
      reopen: () => {
        store.close()
        return open(path)
      },
    }
  })

  test('the database and its companions are readable by their owner alone', async () => {
    const path = freshPath()
    await open(path).addTenant(acme)
    const folder = join(path, '..')
    const names = readdirSync(folder)
    expect(names).toContain('control.db-wal')
    for (const name of names) expect(statSync(join(folder, name)).mode & 0o077).toBe(0)
  })

  test('a schema of a later version is left alone', () => {
    const path = freshPath()
    open(path).close()
    const database = new Database(path)
    database.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`)
    database.close()
    expect(() => open(path)).toThrow(expect.objectContaining({ code: 'data_newer' }))
  })

  test('a second opener is told that the folder is in use', () => {
    const path = freshPath()
    open(path)
    expect(() => open(path)).toThrow(expect.objectContaining({ code: 'data_in_use' }))
  })

  test('a file that is no database is refused and kept', () => {
    const path = freshPath()
    const text = 'these are notes, not a database. '.repeat(40)
    writeFileSync(path, text)
    expect(() => open(path)).toThrow(expect.objectContaining({ code: 'data_damaged' }))
    expect(readFileSync(path, 'utf8')).toBe(text)
  })

  test('a missing folder is named in the error', () => {
    const path = join(freshPath(), '..', 'none', 'control.db')
    expect(() => open(path)).toThrow(
      expect.objectContaining({ code: 'data_unreadable', message: expect.stringContaining(path) }),
    )
  })

  test('a tenant number is never given twice, even after its row is gone', async () => {
    const path = freshPath()
    const first = open(path)
    const tenant = await first.addTenant(acme)
    first.close()
    const database = new Database(path)
    database.exec('DELETE FROM tenants')
    database.close()
    const again = await open(path).addTenant(acme)
    if (tenant === 'exists' || again === 'exists') throw new Error('exists')
    expect(again.tenantNo).toBe(tenant.tenantNo + 1)
  })

  test('a secret is in no byte of the folder', async () => {
    const path = freshPath()
    const store = open(path)
    const tenant = await store.addTenant(acme)
    if (tenant === 'exists') throw new Error('exists')
    const { client, clientSecret } = await createClient(
      { store, clock: systemClock, random: systemRandom },
      { tenantNo: tenant.tenantNo, name: 'job', scopes: ['sql:read'] },
    )
    const bytes = () =>
      readdirSync(join(path, '..'))
        .map((name) => readFileSync(join(path, '..', name), 'latin1'))
        .join()
    expect(bytes()).toContain(client.secretHash)
    expect(bytes()).not.toContain(clientSecret.slice(3))
    store.close()
    store.close()
    expect(bytes()).toContain(client.clientId)
    expect(bytes()).not.toContain(clientSecret.slice(3))
  })

  test('what a killed process said was done is there', async () => {
    const path = freshPath()
    const ready = join(path, '..', 'store.mjs')
    // The store as a program of its own: bundled, for Node 20 reads no TypeScript.
    await build({
      stdin: { contents: CHILD, resolveDir: import.meta.dirname, loader: 'ts' },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: ready,
      external: ['*/libsql/index.js'],
      logLevel: 'silent',
      alias: { libsql: createRequire(import.meta.url).resolve('libsql') },
    })
    const child = spawn(process.execPath, [ready, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    const said: string[] = []
    await new Promise<void>((resolve) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        said.push(...text.trim().split('\n'))
        if (said.length >= 20) child.kill('SIGKILL')
      })
      child.on('exit', () => resolve())
    })
    expect(child.signalCode).toBe('SIGKILL')
    const kept = open(path)
      .tenants()
      .map(({ tenantId }) => tenantId)
    expect(said.length).toBeGreaterThanOrEqual(20)
    expect(kept.slice(0, said.length)).toEqual(said)
  })
})

/** Adds tenants until it is killed; says each name only after its promise resolved. */
const CHILD = `
import { openSqliteTenantStore } from './sqlite-tenant-store.ts'
const store = openSqliteTenantStore(process.argv[2] ?? '')
for (let i = 0; ; i++) {
  await store.addTenant({ tenantId: 't' + i, name: '', synthetic: false, createdMs: i })
  console.log('t' + i)
  await new Promise((resolve) => setImmediate(resolve))
}
`

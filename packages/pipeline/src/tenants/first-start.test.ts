import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { systemRandom } from '../kit/clock.ts'
import { type FileSystem, nodeFiles } from '../kit/files.ts'
import { firstStart } from './first-start.ts'
import { MemoryTenantStore } from './memory-tenant-store.ts'
import { isSecret } from './secrets.ts'
import { openSigningKeys } from './signing-keys.ts'
import { SCOPES } from './tenant-store.ts'

let folder: string
let store: MemoryTenantStore
const clock = { now: () => 1_700_000_000_000 }
const start = (files: FileSystem = nodeFiles) =>
  firstStart({ store, folder, files, clock, random: systemRandom })
const file = () => JSON.parse(readFileSync(join(folder, 'credentials.json'), 'utf8'))
const modeOf = (...names: string[]) => statSync(join(folder, ...names)).mode & 0o777

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-first-'))
  store = new MemoryTenantStore()
  const made = folder
  onTestFinished(() => rmSync(made, { recursive: true, force: true }))
})

describe('first start', () => {
  test('makes the tenant and writes credentials that work, for the owner alone', async () => {
    const { credentials, outcome } = await start()
    expect(outcome).toBe('created')
    expect(file()).toEqual(credentials)
    expect(modeOf('credentials.json')).toBe(0o600)
    const tenant = store.tenant('demo')
    expect(tenant).toMatchObject({ name: 'Demo', synthetic: false })
    expect(store.sourceByKey(credentials.writeKey)).toMatchObject({ name: 'web' })
    const client = store.client(credentials.clientId)
    expect(client?.scopes).toEqual(SCOPES)
    expect(isSecret(client?.secretHash, credentials.clientSecret)).toBe(true)
  })

  test('the second start changes nothing, and closes a file that was opened', async () => {
    const { credentials } = await start()
    chmodSync(join(folder, 'credentials.json'), 0o644)
    expect(await start()).toEqual({ credentials, outcome: 'kept' })
    expect(store.clients(1)).toHaveLength(1)
    expect(modeOf('credentials.json')).toBe(0o600)
  })

  test('a crash before the file was written is repaired with a new client', async () => {
    const rename = () => Promise.reject(new Error('power cut'))
    await expect(start({ ...nodeFiles, rename })).rejects.toThrow('power cut')
    const { credentials, outcome } = await start()
    expect(outcome).toBe('reissued')
    expect(file()).toEqual(credentials)
    const client = store.client(credentials.clientId)
    expect(isSecret(client?.secretHash, credentials.clientSecret)).toBe(true)
    expect((await start()).outcome).toBe('kept')
  })

  test.each(['', '{', 'null', '{"clientId":1}', '{"tenantId":"demo"}'])(
    'a file that holds %j is replaced',
    async (text) => {
      await start()
      writeFileSync(join(folder, 'credentials.json'), text)
      const { credentials, outcome } = await start()
      expect([outcome, file()]).toEqual(['reissued', credentials])
    },
  )

  test('a secret that is not the one of its client is not believed', async () => {
    const { credentials } = await start()
    const wrong = { ...credentials, clientSecret: 'cs_0' }
    writeFileSync(join(folder, 'credentials.json'), JSON.stringify(wrong))
    expect((await start()).outcome).toBe('reissued')
  })

  test('a client that was removed is not believed from the file', async () => {
    const { credentials } = await start()
    await store.removeClient(1, credentials.clientId)
    const again = await start()
    expect(again.outcome).toBe('reissued')
    expect(again.credentials.clientId).not.toBe(credentials.clientId)
    expect(store.client(credentials.clientId)).toBeUndefined()
  })
})

describe('signing keys', () => {
  const warnings: string[] = []
  const open = (now = 1) =>
    openSigningKeys({
      folder: join(folder, 'keys'),
      files: nodeFiles,
      clock: { now: () => now },
      random: systemRandom,
      warn: (message) => warnings.push(message),
    })
  beforeEach(() => {
    warnings.length = 0
  })

  test('made once, for the owner alone, the same after reopening', async () => {
    const first = await open()
    const { kid } = first.current
    expect([modeOf('keys'), modeOf('keys', `${kid}.json`)]).toEqual([0o700, 0o600])
    expect((await open()).jwks).toEqual(first.jwks)
    expect(warnings).toEqual([])
  })

  test('a file that others can read is closed, with a warning', async () => {
    const { kid } = (await open()).current
    chmodSync(join(folder, 'keys', `${kid}.json`), 0o640)
    await open()
    expect(modeOf('keys', `${kid}.json`)).toBe(0o600)
    expect(warnings).toEqual([expect.stringContaining(`${kid}.json was readable by other users`)])
  })

  test('the newest of several signs, all verify, none shows its private part', async () => {
    const old = await open(1)
    const oldPath = join(folder, 'keys', `${old.current.kid}.json`)
    const text = readFileSync(oldPath)
    rmSync(oldPath)
    const newer = await open(2)
    writeFileSync(oldPath, text, { mode: 0o600 })
    const both = await open(3)
    expect(both.current.kid).toBe(newer.current.kid)
    expect([...both.verifying.keys()]).toEqual([old.current.kid, newer.current.kid])
    expect(JSON.stringify(both.jwks)).not.toContain('"d":')
  })

  test.each([
    ['no JSON', () => '{'],
    ['another kid', (text: string) => text.replace('"kid":"', '"kid":"0')],
    ['another curve', (text: string) => text.replace('P-256', 'P-384')],
    ['no point of the curve', (text: string) => text.replace(/"x":"..../, '"x":"AAAA')],
  ])('a damaged file (%s) stops the start', async (_name, damage) => {
    const path = join(folder, 'keys', `${(await open()).current.kid}.json`)
    writeFileSync(path, damage(readFileSync(path, 'utf8')))
    await expect(open()).rejects.toMatchObject({ code: 'data_damaged' })
  })

  test('what a crash left half written is cleared away', async () => {
    const { kid } = (await open()).current
    const left = join(folder, 'keys', 'ffff.json.new')
    writeFileSync(left, '{', { mode: 0o600 })
    expect((await open()).current.kid).toBe(kid)
    expect(() => statSync(left)).toThrow('ENOENT')
  })
})

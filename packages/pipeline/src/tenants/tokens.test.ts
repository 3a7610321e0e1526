import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CompactSign, generateKeyPair, importJWK, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemRandom } from '../kit/clock.ts'
import { nodeFiles } from '../kit/files.ts'
import { createAuthorize, factsOf } from './authorize.ts'
import { createClient, createTenant } from './create-tenant.ts'
import { MemoryTenantStore } from './memory-tenant-store.ts'
import { openSigningKeys, type SigningKeys } from './signing-keys.ts'
import type { Client, Scope } from './tenant-store.ts'
import { createTokens, TOKEN_LIFE_S, type TokenFault, type Tokens } from './tokens.ts'

const ISSUER = 'https://millrace.example'
const NOW_S = 1_700_000_000

let nowMs = NOW_S * 1_000
const clock = { now: () => nowMs }
const random = systemRandom
const store = new MemoryTenantStore()
const folder = mkdtempSync(join(tmpdir(), 'millrace-tokens-'))
let keys: SigningKeys
let tokens: Tokens
let client: Client
let otherClient: Client

beforeAll(async () => {
  const warn = () => undefined
  keys = await openSigningKeys({ folder, files: nodeFiles, clock, random, warn })
  tokens = createTokens({ store, keys, issuer: () => ISSUER, clock, random })
  for (const tenantId of ['acme', 'acme2'])
    await createTenant({ store, clock, random }, { tenantId })
  const made = async (tenantNo: number, scopes: readonly Scope[]) =>
    (await createClient({ store, clock, random }, { tenantNo, name: 'job', scopes })).client
  client = await made(1, ['sql:read', 'events:read'])
  otherClient = await made(2, ['sql:read'])
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const encode = (value: string | Uint8Array) => Buffer.from(value).toString('base64url')
const header = () => ({ alg: 'ES256', typ: 'at+jwt', kid: keys.current.kid })
const claims = () => ({
  iss: ISSUER,
  aud: ISSUER as unknown,
  sub: client.clientId,
  client_id: client.clientId,
  tenant: 'acme' as unknown,
  scope: 'sql:read' as unknown,
  jti: 'a',
  iat: NOW_S as unknown,
  exp: (NOW_S + TOKEN_LIFE_S) as unknown,
})

/** Signed by our own key, whatever the header and the claims say. */
async function signed(headerText: string, payloadText: string): Promise<string> {
  // jose refuses to sign with a header like most of these, so the signature is made by itself.
  const input = `${encode(headerText)}.${encode(payloadText)}`
  const signature = await crypto.subtle.sign(
    { name: 'ECDSA', hash: 'SHA-256' },
    keys.current.privateKey,
    Buffer.from(input),
  )
  return `${input}.${encode(new Uint8Array(signature))}`
}
const withHeader = (more: object) =>
  signed(JSON.stringify({ ...header(), ...more }), JSON.stringify(claims()))
const withClaims = (more: object) =>
  signed(JSON.stringify(header()), JSON.stringify({ ...claims(), ...more }))
const good = () => withClaims({})

/** The good token with its signature's bytes changed. */
async function withSignature(change: (bytes: Buffer) => Uint8Array): Promise<string> {
  const [head, payload, signature] = (await good()).split('.')
  return `${head}.${payload}.${encode(change(Buffer.from(signature ?? '', 'base64url')))}`
}

function der(raw: Buffer): Uint8Array {
  const integer = (bytes: Buffer) => Buffer.concat([Buffer.from([2, 33, 0]), bytes])
  const body = Buffer.concat([integer(raw.subarray(0, 32)), integer(raw.subarray(32))])
  return Buffer.concat([Buffer.from([0x30, body.length]), body])
}

function hmac(secret: string | Buffer): string {
  const head = encode(JSON.stringify({ ...header(), alg: 'HS256' }))
  const input = `${head}.${encode(JSON.stringify(claims()))}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

const jwk = () => JSON.stringify(keys.jwks.keys[0])
const without = (name: string) => withClaims({ [name]: undefined })
const unsigned = (alg: string) =>
  `${encode(JSON.stringify({ ...header(), alg }))}.${encode(JSON.stringify(claims()))}.`

type Bad = readonly [name: string, fault: TokenFault, make: () => string | Promise<string>]

const BAD: readonly Bad[] = [
  ...['none', 'None', 'nOnE', ''].map((alg): Bad => [`alg ${alg}`, 'form', () => unsigned(alg)]),
  ['alg none with a signature', 'algorithm', () => withHeader({ alg: 'none' })],
  ['alg empty', 'algorithm', () => withHeader({ alg: '' })],
  ['alg unknown', 'algorithm', () => withHeader({ alg: 'ES256K' })],
  ['alg ES384', 'algorithm', () => withHeader({ alg: 'ES384' })],
  ['alg EdDSA', 'algorithm', () => withHeader({ alg: 'EdDSA' })],
  ['alg RS256 for an EC key', 'algorithm', () => withHeader({ alg: 'RS256' })],
  ['alg es256', 'algorithm', () => withHeader({ alg: 'es256' })],
  ['alg array', 'header', () => withHeader({ alg: ['ES256'] })],
  ['alg missing', 'header', () => withHeader({ alg: undefined })],
  ['HS256 with the text of the public key', 'algorithm', () => hmac(jwk())],
  ['HS256 with nothing', 'algorithm', () => hmac('')],
  ['r = s = 0', 'signature', () => withSignature(() => new Uint8Array(64))],
  ['signature in DER', 'signature', () => withSignature(der)],
  ['signature empty', 'form', () => withSignature(() => new Uint8Array())],
  ['signature cut by a byte', 'signature', () => withSignature((raw) => raw.subarray(0, 63))],
  ['signature a byte longer', 'signature', () => withSignature((raw) => Buffer.from([...raw, 0]))],
  ['typ JWT', 'type', () => withHeader({ typ: 'JWT' })],
  ['typ id token', 'type', () => withHeader({ typ: 'id+jwt' })],
  ['typ refresh', 'type', () => withHeader({ typ: 'rt+jwt' })],
  ['typ logout', 'type', () => withHeader({ typ: 'logout+jwt' })],
  ['typ missing', 'header', () => withHeader({ typ: undefined })],
  ['kid missing', 'header', () => withHeader({ kid: undefined })],
  ['kid unknown', 'key', () => withHeader({ kid: 'ffffffffffffffff' })],
  ['kid path', 'key', () => withHeader({ kid: '../../dev/null' })],
  ['kid SQL', 'key', () => withHeader({ kid: "' OR 1=1--" })],
  ['kid __proto__', 'key', () => withHeader({ kid: '__proto__' })],
  ['kid array', 'header', () => withHeader({ kid: [keys.current.kid] })],
  ['kid 5 KB', 'key', () => withHeader({ kid: 'k'.repeat(5_000) })],
  ['kid 10 KB', 'size', () => withHeader({ kid: 'k'.repeat(10_000) })],
  ['jku', 'header', () => withHeader({ jku: `${ISSUER}/.well-known/jwks.json` })],
  ['x5u', 'header', () => withHeader({ x5u: 'https://evil.example/x' })],
  ['x5c', 'header', () => withHeader({ x5c: ['AAAA'] })],
  ['jwk', 'header', () => withHeader({ jwk: keys.jwks.keys[0] })],
  ['crit', 'header', () => withHeader({ crit: ['exp'] })],
  ['b64 false', 'header', () => withHeader({ b64: false, crit: ['b64'] })],
  ['zip', 'header', () => withHeader({ zip: 'DEF' })],
  ['header null', 'header', () => signed('null', JSON.stringify(claims()))],
  ['header not JSON', 'header', () => signed('{', JSON.stringify(claims()))],
  ['header with a BOM', 'header', () => signed(`\uFEFF${JSON.stringify(header())}`, '{}')],
  ['exp past', 'time', () => withClaims({ iat: NOW_S - 900, exp: NOW_S - 61 })],
  ['exp missing', 'claims', () => without('exp')],
  ['exp text', 'claims', () => withClaims({ exp: String(NOW_S + 900) })],
  ['exp 1e308', 'claims', () => withClaims({ exp: 1e308 })],
  ['exp negative', 'claims', () => withClaims({ exp: -1 })],
  ['exp too far', 'time', () => withClaims({ exp: NOW_S + TOKEN_LIFE_S + 1 })],
  ['exp before iat', 'time', () => withClaims({ iat: NOW_S + 30, exp: NOW_S + 10 })],
  ['nbf future', 'time', () => withClaims({ nbf: NOW_S + 61 })],
  ['iat future', 'time', () => withClaims({ iat: NOW_S + 61 })],
  ['iat missing', 'claims', () => without('iat')],
  ['aud missing', 'claims', () => without('aud')],
  ['aud array without us', 'claims', () => withClaims({ aud: ['https://evil.example'] })],
  ['aud prefix of us', 'audience', () => withClaims({ aud: ISSUER.slice(0, -1) })],
  ['aud longer than us', 'audience', () => withClaims({ aud: `${ISSUER}.evil` })],
  ['aud object', 'claims', () => withClaims({ aud: { 0: ISSUER } })],
  ['iss missing', 'claims', () => without('iss')],
  ['iss with a slash', 'issuer', () => withClaims({ iss: `${ISSUER}/` })],
  ['iss in another case', 'issuer', () => withClaims({ iss: ISSUER.toUpperCase() })],
  ['iss homoglyph', 'issuer', () => withClaims({ iss: ISSUER.replace('i', '\u0456') })],
  ['iss of another', 'issuer', () => withClaims({ iss: 'https://evil.example' })],
  ['sub missing', 'claims', () => without('sub')],
  ['sub of another', 'client', () => withClaims({ sub: otherClient.clientId })],
  ['client missing', 'claims', () => without('client_id')],
  ['client unknown', 'client', () => withClaims({ client_id: 'cl_0', sub: 'cl_0' })],
  ['scope missing', 'claims', () => without('scope')],
  ['scope array', 'claims', () => withClaims({ scope: ['sql:read'] })],
  ['scope empty', 'claims', () => withClaims({ scope: '' })],
  ['scope superset text', 'scope', () => withClaims({ scope: 'sql:readx' })],
  ['scope not granted', 'scope', () => withClaims({ scope: 'sql:read admin' })],
  ['tenant missing', 'claims', () => without('tenant')],
  ['tenant of another', 'tenant', () => withClaims({ tenant: 'acme2' })],
  ['tenant array', 'claims', () => withClaims({ tenant: ['acme'] })],
  ['tenant __proto__', 'tenant', () => withClaims({ tenant: '__proto__' })],
  ['tenant number', 'claims', () => withClaims({ tenant: 1 })],
  ['jti missing', 'claims', () => without('jti')],
  ['a claim of no meaning', 'claims', () => withClaims({ admin: true })],
  [
    'a claim twice',
    'claims',
    () =>
      signed(
        JSON.stringify(header()),
        JSON.stringify(claims()).replace('"tenant":', '"tenant":"acme2","tenant":'),
      ),
  ],
  ['claims null', 'claims', () => signed(JSON.stringify(header()), 'null')],
  [
    'payload replaced',
    'signature',
    async () => {
      const [head, , signature] = (await good()).split('.')
      return `${head}.${encode(JSON.stringify({ ...claims(), scope: 'events:read' }))}.${signature}`
    },
  ],
  [
    'signed by another key under our kid',
    'signature',
    async () => {
      const { privateKey } = await generateKeyPair('ES256')
      return new SignJWT(claims() as never).setProtectedHeader(header()).sign(privateKey)
    },
  ],
  [
    'a token in a token',
    'claims',
    async () =>
      new CompactSign(Buffer.from(await good()))
        .setProtectedHeader(header())
        .sign(keys.current.privateKey),
  ],
  ['empty', 'form', () => ''],
  ['one dot', 'form', async () => (await good()).split('.').slice(0, 2).join('.')],
  ['four parts', 'form', async () => `${await good()}.AAAA`],
  ['five parts, as of a JWE', 'form', () => 'AAAA.AAAA.AAAA.AAAA.AAAA'],
  ['padding', 'form', async () => `${await good()}==`],
  ['standard base64', 'form', async () => (await good()).replace(/\..*\./, '.ab+/.')],
  ['a blank after it', 'form', async () => `${await good()} `],
  ['a newline inside', 'form', async () => (await good()).replace('.', '\n.')],
  ['a BOM before it', 'form', async () => `\uFEFF${await good()}`],
  ['100 KB', 'size', () => 'A'.repeat(100_000)],
  [
    'other bits in the last character',
    'form',
    async () => {
      const token = await good()
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
      // 64 bytes leave four bits of the last character without meaning.
      const last = alphabet.indexOf(token.at(-1) ?? '')
      return token.slice(0, -1) + alphabet[last ^ 1]
    },
  ],
]

const ask = (authorization: string) =>
  createAuthorize({ store, tokens, clock })(
    factsOf(new Request(`${ISSUER}/v1/query`, { headers: { authorization } })),
    'sql:read',
  )

describe('tokens', () => {
  test('the hand-made token that the bad ones are made from is good', async () => {
    expect(await tokens.verify(await good())).toMatchObject({ client, scopes: ['sql:read'] })
  })

  test('the table has at least 60 bad tokens', () => {
    expect(BAD.length).toBeGreaterThanOrEqual(60)
  })

  test.each(BAD)('%s: refused at the check of its %s', async (_name, fault, make) => {
    const token = await make()
    expect(await tokens.verify(token)).toBe(fault)
    // Asked again, a refusal must not have been remembered as anything else.
    expect(await tokens.verify(token)).toBe(fault)
    // What a header can carry at all is a 401; a Request refuses the rest by itself.
    if (/^[\x21-\x7e]+$/.test(token)) {
      expect(await ask(`Bearer ${token}`)).toMatchObject({ code: 'unauthorized', status: 401 })
    }
  })

  test('a flipped bit in any byte of the signature breaks it', async () => {
    for (let at = 0; at < 64; at++) {
      const token = await withSignature((raw) => raw.fill((raw[at] ?? 0) ^ 1, at, at + 1))
      expect(await tokens.verify(token)).toBe('signature')
    }
  })

  test('an issued token names client, tenant and scopes, and ends after its life', async () => {
    const token = await tokens.issue(client, ['events:read'])
    const verified = await tokens.verify(token)
    expect(verified).toMatchObject({
      client,
      tenant: { tenantId: 'acme' },
      scopes: ['events:read'],
      expiresMs: (NOW_S + TOKEN_LIFE_S) * 1_000,
    })
    nowMs += (TOKEN_LIFE_S + 59) * 1_000
    expect(await tokens.verify(token)).toEqual(verified)
    nowMs += 1_000
    expect(await tokens.verify(token)).toBe('time')
    nowMs = NOW_S * 1_000
  })

  test('removing the client ends a token that was verified before', async () => {
    const wanted = { tenantNo: 1, name: 'brief', scopes: ['sql:read'] as const }
    const brief = await createClient({ store, clock, random }, wanted)
    const token = await tokens.issue(brief.client, ['sql:read'])
    expect(await tokens.verify(token)).toMatchObject({ client: brief.client })
    await store.removeClient(1, brief.client.clientId)
    expect(await tokens.verify(token)).toBe('client')
  })

  test('a token signed with the key of another deployment is refused', async () => {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true })
    const foreign = { ...keys, current: { kid: 'ffff', privateKey } }
    const theirs = createTokens({ store, keys: foreign, issuer: () => ISSUER, clock, random })
    expect(await tokens.verify(await theirs.issue(client, ['sql:read']))).toBe('key')
  })

  test('the published keys have no private member', async () => {
    expect(jwk()).not.toContain('"d"')
    const published = keys.jwks.keys[0] ?? {}
    expect(await importJWK(published, 'ES256')).toMatchObject({ type: 'public' })
  })
})

describe('the Authorization header', () => {
  test.each(['Bearer', 'bearer', 'BEARER'])('%s is taken', async (scheme) => {
    expect(await ask(`${scheme} ${await good()}`)).toMatchObject({ kind: 'client' })
  })

  test.each([
    ['two of them', (token: string) => `Bearer ${token}, Bearer ${token}`],
    ['Basic and Bearer', (token: string) => `Basic YTpi, Bearer ${token}`],
    ['Basic', () => 'Basic YTpi'],
    ['no scheme', (token: string) => token],
    ['an unknown scheme', (token: string) => `DPoP ${token}`],
    ['nothing after Bearer', () => 'Bearer'],
  ])('%s: 401', async (_name, make) => {
    expect(await ask(make(await good()))).toMatchObject({ code: 'unauthorized' })
  })

  test('a token in the address is not looked at', async () => {
    const request = new Request(`${ISSUER}/v1/query?access_token=${await good()}`)
    const authorize = createAuthorize({ store, tokens, clock })
    expect(await authorize(factsOf(request), 'sql:read')).toMatchObject({ status: 401 })
  })

  test('a missing scope is 403 with its name; another tenant named is 404', async () => {
    const authorize = createAuthorize({ store, tokens, clock })
    const headers = { authorization: `Bearer ${await good()}` }
    const facts = (more: object) =>
      factsOf(new Request(ISSUER, { headers: { ...headers, ...more } }))
    const refused = await authorize(facts({}), 'privacy')
    expect(refused).toMatchObject({ status: 403, detail: 'this needs the scope privacy' })
    const named = (tenantId: string) =>
      authorize(facts({ 'x-millrace-tenant': tenantId }), 'sql:read')
    expect(await named('acme')).toMatchObject({ kind: 'client' })
    expect(await named('acme2')).toMatchObject({ status: 404 })
    expect(await named('none')).toEqual(await named('acme2'))
  })
})

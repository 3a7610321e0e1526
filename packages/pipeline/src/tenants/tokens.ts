/**
 * Access tokens: JWTs as in RFC 9068, signed by us for us, 15 minutes long.
 *
 * A token says who asks; what the client may do *now* is looked up at every use, so that removing a
 * client ends its tokens at once. Checks run from cheap to dear, and nothing in a token chooses how it
 * is checked: the algorithm is ours, the key comes from a map, no address in it is followed. Only what
 * we ourselves would print is taken (members in our writing, no blanks, strict base64url), which leaves
 * no room for duplicate claims or signatures spelled another way.
 *
 * Verified tokens are remembered by their SHA-256 until they end, since a signature costs 0.1–0.2 ms.
 */
import { createHash } from 'node:crypto'
import { compactVerify, SignJWT } from 'jose'
import { type Static, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { type Clock, type Random, randomHex } from '../kit/clock.ts'
import { type SigningKeys, TOKEN_ALGORITHM } from './signing-keys.ts'
import { type Client, SCOPES, type Scope, type Tenant, type TenantStore } from './tenant-store.ts'

/** RFC 9068 leaves the life open; 15 min is what a server-side client can renew without pain. */
export const TOKEN_LIFE_S = 900
/** Ours are about 600 bytes. */
export const TOKEN_BYTES_MAX = 8_192
/** Between two machines' clocks. */
export const CLOCK_SKEW_MAX_S = 60
/** About 2 MB; the least recently used goes first. */
export const VERIFIED_TOKENS_MAX = 10_000

export interface VerifiedToken {
  readonly client: Client
  readonly tenant: Tenant
  readonly scopes: readonly Scope[]
  readonly expiresMs: number
}

/** Which check failed: for the log and for tests. Callers are all told the same. */
export type TokenFault =
  | 'size'
  | 'form'
  | 'header'
  | 'algorithm'
  | 'type'
  | 'key'
  | 'signature'
  | 'claims'
  | 'issuer'
  | 'audience'
  | 'time'
  | 'client'
  | 'scope'
  | 'tenant'

export interface Tokens {
  /** A token of this client for these of its scopes. */
  issue(client: Client, scopes: readonly Scope[]): Promise<string>
  /** Never rejects: whatever a stranger sends is an answer. */
  verify(token: string): Promise<VerifiedToken | TokenFault>
}

export interface TokenSettings {
  readonly store: TenantStore
  readonly keys: SigningKeys
  /** The server's public address, without a slash at the end; issuer and audience of its tokens. */
  readonly issuer: () => string
  readonly clock: Clock
  readonly random: Random
}

const SCOPE_WORD = '[a-z]+(?::[a-z]+)?'
const SECONDS = Type.Integer({ minimum: 0, maximum: 253_402_300_799 })

/** Exactly the claims that `issue` writes; `nbf` for whoever sets it. */
const Claims = Compile(
  Type.Object(
    {
      iss: Type.String(),
      aud: Type.String(),
      sub: Type.String(),
      client_id: Type.String(),
      tenant: Type.String(),
      scope: Type.String({ pattern: `^${SCOPE_WORD}(?: ${SCOPE_WORD})*$` }),
      jti: Type.String({ minLength: 1 }),
      iat: SECONDS,
      exp: SECONDS,
      nbf: Type.Optional(SECONDS),
    },
    { additionalProperties: false },
  ),
)
type Claims = Static<ReturnType<typeof Claims.Type>>

const Header = Compile(
  Type.Object(
    { alg: Type.String(), typ: Type.String(), kid: Type.String() },
    { additionalProperties: false },
  ),
)

export function createTokens(settings: TokenSettings): Tokens {
  const verified = new Map<string, Claims>()

  async function verify(token: string): Promise<VerifiedToken | TokenFault> {
    // Characters first: a token of another alphabet has more bytes, and fails on its form.
    if (token.length > TOKEN_BYTES_MAX) return 'size'
    const digest = createHash('sha256').update(token).digest('base64')
    const known = verified.get(digest)
    verified.delete(digest)
    const claims = known ?? (await verifySigned(token, settings.keys))
    if (typeof claims === 'string') return claims
    const result = judge(claims, settings)
    if (typeof result === 'string') return result
    verified.set(digest, claims)
    if (verified.size > VERIFIED_TOKENS_MAX) verified.delete(verified.keys().next().value ?? '')
    return result
  }

  return { issue: (client, scopes) => issue(settings, client, scopes), verify }
}

function issue(settings: TokenSettings, client: Client, scopes: readonly Scope[]): Promise<string> {
  const { store, keys, clock, random } = settings
  const tenant = store.tenantByNo(client.tenantNo)
  if (tenant === undefined) throw new Error(`no tenant number ${client.tenantNo}`)
  const nowS = Math.floor(clock.now() / 1_000)
  const issuer = settings.issuer()
  const claims: Claims = {
    iss: issuer,
    aud: issuer,
    sub: client.clientId,
    client_id: client.clientId,
    tenant: tenant.tenantId,
    scope: scopes.join(' '),
    jti: randomHex(random, 16),
    iat: nowS,
    exp: nowS + TOKEN_LIFE_S,
  }
  return new SignJWT(claims)
    .setProtectedHeader({ alg: TOKEN_ALGORITHM, typ: 'at+jwt', kid: keys.current.kid })
    .sign(keys.current.privateKey)
}

/** Form, header, signature and shape of the claims: what stays true for as long as the token lives. */
async function verifySigned(token: string, keys: SigningKeys): Promise<Claims | TokenFault> {
  const parts = token.split('.')
  const [headerPart, payloadPart, signaturePart] = parts
  if (parts.length !== 3 || !parts.every(isStrictBase64Url)) return 'form'
  const header = readOwnJson(headerPart ?? '')
  if (!Header.Check(header)) return 'header'
  if (header.alg !== TOKEN_ALGORITHM) return 'algorithm'
  if (header.typ !== 'at+jwt') return 'type'
  const key = keys.verifying.get(header.kid)
  if (key === undefined) return 'key'
  // r and s, 32 bytes each (RFC 7518 §3.4): anything else is DER, cut or padded.
  if (Buffer.from(signaturePart ?? '', 'base64url').byteLength !== 64) return 'signature'
  try {
    await compactVerify(token, key, { algorithms: [TOKEN_ALGORITHM] })
  } catch {
    return 'signature'
  }
  const claims = readOwnJson(payloadPart ?? '')
  return Claims.Check(claims) ? claims : 'claims'
}

/** What can change from one use to the next: time, the client, its scopes, its tenant. */
function judge(claims: Claims, settings: TokenSettings): VerifiedToken | TokenFault {
  const { store, clock } = settings
  const issuer = settings.issuer()
  if (claims.iss !== issuer) return 'issuer'
  if (claims.aud !== issuer) return 'audience'
  const nowS = clock.now() / 1_000
  const isTimely =
    claims.exp > nowS - CLOCK_SKEW_MAX_S &&
    claims.iat <= nowS + CLOCK_SKEW_MAX_S &&
    (claims.nbf ?? claims.iat) <= nowS + CLOCK_SKEW_MAX_S &&
    claims.exp > claims.iat &&
    claims.exp - claims.iat <= TOKEN_LIFE_S
  if (!isTimely) return 'time'
  const client = store.client(claims.client_id)
  if (client === undefined || claims.sub !== client.clientId) return 'client'
  const scopes = claims.scope.split(' ')
  if (!scopes.every((scope): scope is Scope => client.scopes.includes(scope as Scope))) {
    return 'scope'
  }
  const tenant = store.tenantByNo(client.tenantNo)
  if (tenant === undefined || tenant.tenantId !== claims.tenant) return 'tenant'
  return { client, tenant, scopes: scopes as Scope[], expiresMs: claims.exp * 1_000 }
}

/** One spelling per value: no padding, no other alphabet, no stray bits in the last character. */
function isStrictBase64Url(part: string): boolean {
  return part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part
}

/** JSON exactly as JSON.stringify writes it; undefined for anything else. */
function readOwnJson(part: string): unknown {
  const text = Buffer.from(part, 'base64url').toString('utf8')
  try {
    const value: unknown = JSON.parse(text)
    return JSON.stringify(value) === text ? value : undefined
  } catch {
    return undefined
  }
}

/** The scopes that a space-separated list names; undefined when a word is none. */
export function parseScopes(list: string): readonly Scope[] | undefined {
  const words = [...new Set(list.split(' '))]
  const known: readonly string[] = SCOPES
  return words.every((word) => known.includes(word)) ? (words as Scope[]) : undefined
}

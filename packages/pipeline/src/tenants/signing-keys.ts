/**
 * The keys that access tokens are signed with: ES256, `DIR/keys/<kid>.json`, a private JWK each.
 *
 * Made at the first start and durable before the first token. The newest signs, all verify: to rotate,
 * take the files away that should no longer count and start again; with none left a new one is made.
 * Whoever reads a key can be anyone, so the folder is 0700 and each file 0600; one that is open to others
 * (a copy made with a loose umask) is closed with a warning, and where that cannot be done the start is
 * refused. Names of files never come from a token: `verify` looks a kid up in a map.
 */
import { chmod, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type CryptoKey, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose'
import { type Clock, type Random, randomHex } from '../kit/clock.ts'
import { MillraceError } from '../kit/errors.ts'
import { type FileSystem, readFile, replaceFile } from '../kit/files.ts'

export const TOKEN_ALGORITHM = 'ES256'

export interface SigningKeys {
  /** Signs new tokens. */
  readonly current: { readonly kid: string; readonly privateKey: CryptoKey }
  /** Public keys by kid, all that verify. */
  readonly verifying: ReadonlyMap<string, CryptoKey>
  /** RFC 7517 set, public members only. */
  readonly jwks: { readonly keys: readonly JWK[] }
}

export interface SigningKeyPlace {
  /** `DIR/keys`. */
  readonly folder: string
  readonly files: FileSystem
  readonly clock: Clock
  readonly random: Random
  /** Told when a file had to be closed to others. */
  readonly warn: (message: string) => void
}

/** Reads the keys, makes the first; throws MillraceError `data_unreadable` or `data_damaged`. */
export async function openSigningKeys(place: SigningKeyPlace): Promise<SigningKeys> {
  await place.files.makeFolder(place.folder)
  await closeToOthers(place.folder, 0o700, place.warn)
  // A key that an earlier process named and did not live to sync must not go with the power.
  await place.files.syncFolder(place.folder)
  const names = await place.files.list(place.folder)
  // What a crash left half written was never used.
  for (const name of names.filter((name) => name.endsWith('.json.new'))) {
    await place.files.remove(join(place.folder, name))
  }
  const kept = names.filter((name) => name.endsWith('.json'))
  const keys = kept.length === 0 ? [await makeKey(place)] : await readKeys(place, kept)
  return loadKeys(keys)
}

/** What a file holds. `createdMs` is ours; RFC 7517 §4 lets readers ignore members they do not know. */
interface StoredKey {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
  readonly d: string
  readonly kid: string
  readonly use: 'sig'
  readonly alg: typeof TOKEN_ALGORITHM
  readonly createdMs: number
}

async function makeKey(place: SigningKeyPlace): Promise<StoredKey> {
  const { privateKey } = await generateKeyPair(TOKEN_ALGORITHM, { extractable: true })
  const { x, y, d } = (await exportJWK(privateKey)) as { x: string; y: string; d: string }
  const kid = randomHex(place.random, 8)
  const key: StoredKey = {
    kty: 'EC',
    crv: 'P-256',
    x,
    y,
    d,
    kid,
    use: 'sig',
    alg: TOKEN_ALGORITHM,
    createdMs: place.clock.now(),
  }
  const text = `${JSON.stringify(key)}\n`
  await replaceFile(place.files, join(place.folder, `${kid}.json`), Buffer.from(text))
  return key
}

async function readKeys(place: SigningKeyPlace, names: readonly string[]): Promise<StoredKey[]> {
  const keys: StoredKey[] = []
  for (const name of names) {
    const path = join(place.folder, name)
    await closeToOthers(path, 0o600, place.warn)
    keys.push(parseKey(path, name, await readFile(place.files, path)))
  }
  return keys
}

function parseKey(path: string, name: string, bytes: Uint8Array): StoredKey {
  let key: Partial<StoredKey>
  try {
    key = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<StoredKey>
  } catch (cause) {
    throw damaged(path, 'is not JSON', cause)
  }
  const whole =
    key.kty === 'EC' &&
    key.crv === 'P-256' &&
    key.alg === TOKEN_ALGORITHM &&
    `${key.kid}.json` === name &&
    typeof key.x === 'string' &&
    typeof key.y === 'string' &&
    typeof key.d === 'string' &&
    typeof key.createdMs === 'number'
  if (!whole) throw damaged(path, 'is not an ES256 private key under its own kid')
  return key as StoredKey
}

async function loadKeys(stored: readonly StoredKey[]): Promise<SigningKeys> {
  const oldestFirst = [...stored].sort(
    (a, b) => a.createdMs - b.createdMs || (a.kid < b.kid ? -1 : 1),
  )
  const verifying = new Map<string, CryptoKey>()
  const keys: JWK[] = []
  let current: SigningKeys['current'] | undefined
  for (const { kty, crv, x, y, d, kid, use, alg } of oldestFirst) {
    const publicJwk = { kty, crv, x, y, kid, use, alg }
    try {
      verifying.set(kid, (await importJWK(publicJwk, alg)) as CryptoKey)
      const privateKey = (await importJWK({ kty, crv, x, y, d }, alg)) as CryptoKey
      current = { kid, privateKey }
    } catch (cause) {
      throw damaged(`${kid}.json`, 'is no point of the curve', cause)
    }
    keys.push(publicJwk)
  }
  if (current === undefined) throw new Error('no signing key')
  return { current, verifying, jwks: { keys } }
}

function damaged(path: string, what: string, cause?: unknown): MillraceError {
  return new MillraceError('data_damaged', `${path} ${what}`, {
    cause,
    hint: 'Take the file out of the folder: tokens signed with it end, a new key is made.',
  })
}

async function closeToOthers(
  path: string,
  mode: number,
  warn: (message: string) => void,
): Promise<void> {
  // Windows has no such bits; there the folder's own access list counts.
  if (process.platform === 'win32') return
  const isOpen = async () => ((await stat(path)).mode & 0o077) !== 0
  if (!(await isOpen())) return
  await chmod(path, mode).catch(() => undefined)
  const octal = mode.toString(8).padStart(4, '0')
  if (await isOpen()) {
    throw new MillraceError('data_unreadable', `${path} is readable by other users`, {
      hint: `Give it mode ${octal}, on a file system that keeps modes.`,
    })
  }
  warn(`${path} was readable by other users; its mode is now ${octal}`)
}

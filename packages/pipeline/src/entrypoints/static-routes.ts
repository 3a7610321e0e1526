/**
 * The files a browser loads: console, demo shop, tracker. Read once at start, served from memory.
 *
 * Names with a content hash are cached for ever; the rest is asked for again each time (an ETag makes
 * that cheap). Pages get a policy under which no foreign or inline script runs.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { Hono } from 'hono'
import { errnoOf, MillraceError } from '../kit/errors.ts'

export const ASSETS = fileURLToPath(new URL('../../assets', import.meta.url))

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.map': 'application/json',
}
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-src 'self'",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'self'",
  "require-trusted-types-for 'script'",
].join('; ')

/** Compressed once at every start: 5 costs a tenth of 11 and loses a few percent. */
const BROTLI_QUALITY = 5

interface Asset {
  readonly headers: Record<string, string>
  readonly plain: Buffer
  readonly br: Buffer
  readonly gz: Buffer
}

/** Serves a folder below a path; `/x` is answered with `x.html` too. */
export function staticRoutes(
  folder: string,
  below: string,
  isPublic = false,
  without: readonly string[] = [],
): Hono {
  const assets = new Map(readAssets(folder, isPublic))
  for (const name of without) assets.delete(name)
  const app = new Hono()
  app.get(`${below}/*`, (context, next) => {
    const name = context.req.path.slice(below.length + 1)
    const asset = assets.get(name === '' ? 'index.html' : name) ?? assets.get(`${name}.html`)
    if (asset === undefined) return next()
    if (context.req.header('if-none-match') === asset.headers.ETag)
      return new Response(null, { status: 304, headers: asset.headers })
    const accepted = context.req.header('accept-encoding') ?? ''
    const [encoding, bytes] = accepted.includes('br')
      ? ['br', asset.br]
      : accepted.includes('gzip')
        ? ['gzip', asset.gz]
        : [undefined, asset.plain]
    return new Response(new Uint8Array(bytes), {
      headers: {
        ...asset.headers,
        ...(encoding === undefined ? {} : { 'Content-Encoding': encoding }),
      },
    })
  })
  return app
}

function entriesBelow(folder: string) {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
  } catch (error) {
    throw new MillraceError('missing_package', `${folder} cannot be read: ${errnoOf(error)}`, {
      cause: error,
      hint: 'Run npm run build, or install millrace again.',
    })
  }
}

function readAssets(folder: string, isPublic: boolean): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>()
  const names = entriesBelow(folder)
    .filter((entry) => entry.isFile() && extname(entry.name) in TYPES)
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
  for (const name of names) {
    const plain = readFileSync(join(folder, name))
    const hashed =
      /[-.][A-Za-z0-9_]{8,}\.(?:js|css|woff2)$/.test(name) && name.startsWith('assets/')
    assets.set(name, {
      plain,
      br: brotliCompressSync(plain, {
        params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY },
      }),
      gz: gzipSync(plain),
      headers: {
        'Content-Type': TYPES[extname(name)] as string,
        'Cache-Control': hashed ? 'public, max-age=31536000, immutable' : 'no-cache',
        ETag: `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`,
        Vary: 'Accept-Encoding',
        'X-Content-Type-Options': 'nosniff',
        'Referrer-Policy': 'same-origin',
        ...(name.endsWith('.html') ? { 'Content-Security-Policy': POLICY } : {}),
        // The tracker is loaded by other sites, also with a checksum (SRI needs CORS).
        ...(isPublic
          ? { 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' }
          : {}),
      },
    })
  }
  return assets
}

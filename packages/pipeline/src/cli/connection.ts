/**
 * The CLI's way to a server: where it is, who asks, and one function to call it.
 *
 * The address comes from --url, MILLRACE_URL or DIR/server.json of a running server; the client from
 * flags, the environment or DIR/credentials.json. Without --data the folders `millrace-data` and
 * `millrace-demo` below the working folder are tried, so that both ways to start are found.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Problem } from '@millrace/protocol'
import { errnoOf, MillraceError } from '../kit/errors.ts'

export interface ConnectionFlags {
  readonly data?: string
  readonly url?: string
  readonly clientId?: string
  readonly clientSecret?: string
}

export interface Connection {
  readonly url: string
  readonly clientId: string
  /** A Bearer token with some minutes left. */
  token(): Promise<string>
  /** Calls the API with a fresh token; throws MillraceError `refused` with the server's own words. */
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Response>
  json<T>(method: string, path: string, body?: unknown): Promise<T>
}

const DEFAULT_FOLDERS = ['millrace-data', 'millrace-demo']
const CLIENT_HINT =
  'Name the data folder with --data, or set MILLRACE_CLIENT_ID and MILLRACE_CLIENT_SECRET.'
/** Tokens live 15 minutes; a new one is fetched well before. */
const TOKEN_REUSE_MS = 10 * 60_000

export async function connect(flags: ConnectionFlags): Promise<Connection> {
  const folder = findFolder(flags)
  const url = flags.url ?? process.env.MILLRACE_URL ?? readJson(folder, 'server.json')?.url
  if (typeof url !== 'string') throw notRunning(flags.data ?? process.env.MILLRACE_DATA)
  if (!/^https?:\/\/[^/]/.test(url) || !URL.canParse(url)) {
    throw new MillraceError(
      'bad_input',
      `the address is "${url}", allowed: http(s)://host[:port]`,
      {
        hint: 'Correct --url or MILLRACE_URL, or leave them out and name the data folder with --data.',
      },
    )
  }
  const credentials = readJson(folder, 'credentials.json')
  const clientId = flags.clientId ?? process.env.MILLRACE_CLIENT_ID ?? credentials?.clientId
  const clientSecret =
    flags.clientSecret ?? process.env.MILLRACE_CLIENT_SECRET ?? credentials?.clientSecret
  if (typeof clientId !== 'string' || typeof clientSecret !== 'string') {
    throw new MillraceError('bad_input', 'no client id and secret', { hint: CLIENT_HINT })
  }
  return connection(url.replace(/\/$/, ''), clientId, clientSecret)
}

function notRunning(folder: string | undefined): MillraceError {
  if (folder === undefined)
    return new MillraceError(
      'not_running',
      `no server runs on ${DEFAULT_FOLDERS.join(' or ')} here`,
    )
  return existsSync(folder)
    ? new MillraceError('not_running', `no server runs on ${folder}`)
    : new MillraceError('not_running', `there is no folder ${folder}`, {
        hint: 'Name the data folder of a running server with --data, or its address with --url.',
      })
}

function connection(url: string, clientId: string, clientSecret: string): Connection {
  let held: { text: Promise<string>; fetchedMs: number } | undefined
  const token = () => {
    if (held === undefined || performance.now() - held.fetchedMs > TOKEN_REUSE_MS) {
      held = { text: fetchToken(url, clientId, clientSecret), fetchedMs: performance.now() }
      // A failed fetch is not kept.
      held.text.catch(() => {
        held = undefined
      })
    }
    return held.text
  }
  const call: Connection['call'] = async (method, path, body, headers = {}) => {
    const response = await request(`${url}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${await token()}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: body instanceof Uint8Array ? Buffer.from(body) : JSON.stringify(body) }),
    })
    if (response.ok) return response
    throw await refusal(response)
  }
  return {
    url,
    clientId,
    token,
    call,
    json: async <T>(...call_: [string, string, unknown?]) =>
      (await (await call(...call_)).json()) as T,
  }
}

async function fetchToken(url: string, clientId: string, clientSecret: string): Promise<string> {
  const response = await request(`${url}/oauth/token`, {
    method: 'POST',
    headers: {
      Authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
      'Content-Type': 'application/x-www-form-urlencoded',
    },
    body: 'grant_type=client_credentials',
  })
  // Its own words come in RFC 6749's terms.
  if (response.status === 401) {
    throw new RefusedError(
      401,
      `the server does not know client ${clientId} by this secret`,
      CLIENT_HINT,
    )
  }
  if (!response.ok) throw await refusal(response)
  return ((await response.json()) as { access_token: string }).access_token
}

async function request(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init)
  } catch (error) {
    const why = errnoOf((error as Error).cause) ?? ''
    if (/CERT|TLS|SSL/.test(why)) {
      throw new MillraceError('bad_input', `${new URL(url).origin} shows no certificate we trust`, {
        cause: error,
        hint: `${why}. Use the name in the certificate (--url); NODE_EXTRA_CA_CERTS adds an issuer.`,
      })
    }
    throw new MillraceError('not_running', `no server answers at ${new URL(url).origin}`, {
      cause: error,
      hint: 'Start the server (millrace start); if it was killed, the next start recovers by itself.',
    })
  }
}

/** An error answer as an error: `status` is kept for callers that branch. */
export class RefusedError extends MillraceError {
  readonly status: number
  /** The pause that the server asks for. */
  readonly retryAfterMs: number
  constructor(status: number, message: string, hint: string | undefined, retryAfterMs = 0) {
    super('refused', message, hint === undefined ? {} : { hint })
    this.status = status
    this.retryAfterMs = retryAfterMs
  }
}

/** `Retry-After` in seconds, as our server writes it; 0 where there is none. */
export function retryAfterMsOf(header: string | null | undefined): number {
  return /^\d{1,4}$/.test(header ?? '') ? Number(header) * 1_000 : 0
}

async function refusal(response: Response): Promise<RefusedError> {
  const text = await response.text()
  let problem: Partial<Problem> & { error?: string; error_description?: string } = {}
  try {
    problem = JSON.parse(text) as typeof problem
  } catch {
    // Not ours: the status alone must do.
  }
  const said = [problem.title ?? problem.error, problem.detail ?? problem.error_description]
    .filter(Boolean)
    .join(': ')
  return new RefusedError(
    response.status,
    said === '' ? `the server answered ${response.status}` : said,
    problem.hint,
    retryAfterMsOf(response.headers.get('retry-after')),
  )
}

function findFolder(flags: ConnectionFlags): string | undefined {
  const named = flags.data ?? process.env.MILLRACE_DATA
  if (named !== undefined) return resolve(named)
  return DEFAULT_FOLDERS.map((name) => resolve(name)).find(
    (folder) => readJson(folder, 'server.json') !== undefined,
  )
}

function readJson(folder: string | undefined, name: string): Record<string, unknown> | undefined {
  if (folder === undefined) return undefined
  try {
    return JSON.parse(readFileSync(join(folder, name), 'utf8')) as Record<string, unknown>
  } catch {
    return undefined
  }
}

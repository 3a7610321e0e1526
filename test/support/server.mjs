/**
 * The real server as a child process, and the few calls that a test or a benchmark makes to it.
 *
 * Plain JavaScript with types in comments, so that `bench/` runs the same code without a compiler. The
 * server is the built one (`npm run build`), each on a port of its own.
 */
import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const PROGRAM = fileURLToPath(
  new URL('../../packages/pipeline/bin/millrace.js', import.meta.url),
)

/** Far more than any command here needs; one that should have ended is killed and has code -1. */
const COMMAND_TIMEOUT_MS = 30_000

/**
 * @typedef {object} Server
 * @property {import('node:child_process').ChildProcess} child
 * @property {string} url
 * @property {string} data
 * @property {number} readyMs From spawn to the line that says it listens.
 * @property {() => string} output What it has written to stdout and stderr.
 *
 * @typedef {object} Credentials
 * @property {string} tenantId
 * @property {string} writeKey
 * @property {string} clientId
 * @property {string} clientSecret
 */

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set()

/**
 * Resolves when it listens; rejects with what it said when it does not.
 * @param {string} data
 * @param {{ flags?: readonly string[], logLevel?: string, under?: readonly string[] }} [options]
 *   `under` is a program that starts it, such as `prlimit --fsize=…`.
 * @returns {Promise<Server>}
 */
export async function startServer(data, { flags = [], logLevel = 'warn', under = [] } = {}) {
  const startedMs = performance.now()
  const line = [...under, process.execPath, PROGRAM, 'start', '--data', data]
  const [program, ...rest] = [...line, '--port', '0', '--log-level', logLevel, ...flags]
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  child.once('close', () => running.delete(child))
  let output = ''
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  const url = await new Promise((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      output += chunk
      const listening = /^\{"event":"listening".*$/m.exec(output)
      if (listening !== null && output.includes('\n', listening.index))
        resolve(JSON.parse(listening[0]).url)
    })
    child.once('close', (code) =>
      reject(new Error(`the server ended with ${code} before it listened: ${output}`)),
    )
  })
  return { child, url, data, readyMs: performance.now() - startedMs, output: () => output }
}

/**
 * Sends a signal and waits for the end; gives the exit code, null after a signal.
 * @param {Pick<Server, 'child'>} server
 * @param {NodeJS.Signals} [signal]
 * @returns {Promise<number | null>}
 */
export function stopped({ child }, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode)
  const ended = new Promise((resolve) => child.once('close', resolve))
  child.kill(signal)
  return ended
}

/** Kills what a failed test left running, and waits until it is gone. */
export async function stopAll() {
  await Promise.all([...running].map((child) => stopped({ child }, 'SIGKILL')))
}

/**
 * Runs a command of the CLI to its end.
 * @param {readonly string[]} flags
 * @returns {Promise<{ code: number, stdout: string, stderr: string }>}
 */
export function millrace(flags) {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [PROGRAM, ...flags],
      { timeout: COMMAND_TIMEOUT_MS },
      (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : (error.code ?? -1), stdout, stderr }),
    )
  })
}

/**
 * @param {string} data
 * @returns {Credentials}
 */
export function readCredentials(data) {
  return JSON.parse(readFileSync(join(data, 'credentials.json'), 'utf8'))
}

/**
 * One request on a connection of its own. `body` may be a list of chunks: then there is no
 * Content-Length. An answer that comes before the body's end counts.
 * @param {string} url
 * @param {{ method?: string, headers?: Record<string, string>,
 *   body?: string | Uint8Array | readonly Uint8Array[] }} [options]
 * @returns {Promise<{ status: number, headers: import('node:http').IncomingHttpHeaders,
 *   bytes: Buffer, text: string, body: any }>}
 */
export function send(url, { method = 'POST', headers = {}, body = '' } = {}) {
  return new Promise((resolve, reject) => {
    const chunked = Array.isArray(body)
    const length = chunked || method === 'GET' ? {} : { 'Content-Length': Buffer.byteLength(body) }
    const sent = request(url, { method, headers: { ...length, ...headers }, agent: false })
    let answered = false
    sent.on('response', (response) => {
      answered = true
      const parts = []
      response.on('data', (part) => parts.push(part))
      response.on('error', reject)
      response.on('end', () => {
        const bytes = Buffer.concat(parts)
        const text = bytes.toString()
        const isJson = text !== '' && /json/.test(response.headers['content-type'] ?? '')
        const { statusCode: status, headers } = response
        resolve({ status, headers, bytes, text, body: isJson ? JSON.parse(text) : undefined })
      })
    })
    sent.on('error', (error) => {
      if (!answered) reject(error)
    })
    if (chunked) for (const part of body) sent.write(part)
    sent.end(chunked || method === 'GET' ? undefined : body)
  })
}

/**
 * @param {string} url
 * @param {{ clientId: string, clientSecret: string }} client
 * @returns {Promise<string>}
 */
export async function bearerToken(url, { clientId, clientSecret }) {
  const { status, body } = await send(`${url}/oauth/token`, {
    headers: {
      Authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
      'Content-Type': 'application/x-www-form-urlencoded',
    },
    body: 'grant_type=client_credentials',
  })
  if (status !== 200) throw new Error(`/oauth/token answered ${status} ${JSON.stringify(body)}`)
  return body.access_token
}

/**
 * The rows of one SELECT, at most 10,000; throws what the server said.
 * @param {string} url
 * @param {{ clientId: string, clientSecret: string } | string} client A client or its Bearer token.
 * @param {string} sql
 * @returns {Promise<any[][]>}
 */
export async function sqlRows(url, client, sql) {
  const token = typeof client === 'string' ? client : await bearerToken(url, client)
  const { body } = await send(`${url}/v1/query`, {
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ sql, maxRows: 10_000, timeoutMs: 60_000 }),
  })
  if (body.rows === undefined) throw new Error(`${sql}: ${body.detail}`)
  return body.rows
}

/**
 * What /v1/live says, from its opening on: `next(pattern)` is the first data that fits, within five seconds.
 * @param {string} url
 * @param {string} token
 * @returns {Promise<{ next: (pattern: RegExp) => Promise<{ event: string, data: any }>,
 *   seen: () => string, close: () => void }>}
 */
export async function watchLive(url, token) {
  const stop = new AbortController()
  const response = await fetch(`${url}/v1/live`, {
    headers: { Authorization: `Bearer ${token}` },
    signal: stop.signal,
  })
  if (response.status !== 200) throw new Error(`/v1/live answered ${response.status}`)
  let text = ''
  const reading = (async () => {
    for await (const part of response.body) text += Buffer.from(part).toString()
  })()
  reading.catch(() => {})
  const until = async (find) => {
    for (const endMs = performance.now() + 5_000; performance.now() < endMs; ) {
      const found = find()
      if (found !== undefined) return found
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    throw new Error(`not within five seconds: ${find} in ${text}`)
  }
  await until(() => (text.includes('\n\n') ? true : undefined))
  return {
    next: (pattern) =>
      until(() => {
        const message = text.split('\n\n').find((part) => pattern.test(part))
        const body = message === undefined ? null : /^data: ?(.*)$/m.exec(message)
        if (body === null) return undefined
        return {
          event: /^event: ?(.*)$/m.exec(message)?.[1] ?? 'message',
          data: JSON.parse(body[1]),
        }
      }),
    seen: () => text,
    close: () => stop.abort(),
  }
}

/**
 * More than is allowed, on the real process: who sends too much is told when to come again, and nobody
 * else notices.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request as httpRequest } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  bearerToken,
  readCredentials,
  send,
  sqlRows,
  startServer,
  stopAll,
  stopped,
} from '../support/server.mjs'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-overload-'))
})
afterAll(async () => {
  await stopAll()
  rmSync(folder, { recursive: true })
})

const EVENT = JSON.stringify({ eventType: 'click', timestamp: Date.now(), path: '/' })

interface Answer {
  readonly status: number
  readonly retryAfter: string | undefined
}

function post(url: string, agent: Agent, body: string | Buffer, headers = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { agent, method: 'POST', rejectUnauthorized: false }
    const sent = (url.startsWith('https:') ? tlsRequest : httpRequest)(
      url,
      {
        ...options,
        headers: {
          'Content-Type': 'application/json',
          'Content-Length': Buffer.byteLength(body),
          ...headers,
        },
      },
      (response) => {
        const { statusCode = 0, headers: got } = response
        response.resume()
        response.on('end', () => resolve({ status: statusCode, retryAfter: got['retry-after'] }))
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

describe('two tenants of one server', () => {
  const PER_SECOND = 40

  test('one at ten times its quota gets its quota, the other at half of it loses nothing', async () => {
    const data = join(folder, 'two')
    const flags = ['--key-requests-per-second', String(PER_SECOND)]
    const server = await startServer(data, { flags })
    const credentials = readCredentials(data)
    const token = await bearerToken(server.url, credentials)
    const made = await send(`${server.url}/v1/tenants`, {
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ tenantId: 'quiet' }),
    })
    expect(made.status).toBe(201)
    const agent = new Agent({ keepAlive: true })
    const answers = { loud: [] as Answer[], quiet: [] as Answer[] }
    const under: Promise<unknown>[] = []
    const fire = (to: Answer[], key: string) =>
      under.push(post(`${server.url}/v1/events?key=${key}`, agent, EVENT).then((it) => to.push(it)))
    const startedMs = performance.now()
    let loud = 0
    let quiet = 0
    for (let ms = 0; ms < 4_000; ms = performance.now() - startedMs) {
      while (loud < (ms * PER_SECOND * 10) / 1_000) {
        fire(answers.loud, credentials.writeKey)
        loud++
      }
      while (quiet < (ms * PER_SECOND) / 2_000) {
        fire(answers.quiet, made.body.writeKey)
        quiet++
      }
      await sleep(5)
    }
    await Promise.all(under)
    const seconds = (performance.now() - startedMs) / 1_000
    agent.destroy()
    const statuses = (of: Answer[], status: number) => of.filter((it) => it.status === status)
    expect(statuses(answers.quiet, 202)).toHaveLength(quiet)
    const taken = statuses(answers.loud, 202).length
    expect(taken + statuses(answers.loud, 429).length).toBe(loud)
    // Its rate, and the two seconds that the bucket holds.
    expect(taken).toBeGreaterThan(0.95 * PER_SECOND * (4 + 2))
    expect(taken).toBeLessThan(1.05 * PER_SECOND * (seconds + 2))
    const pauses = statuses(answers.loud, 429).map(({ retryAfter }) => Number(retryAfter))
    expect(new Set(pauses).size).toBeGreaterThan(2)
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(1)
    expect(await sqlRows(server.url, token, 'select count(*) from events')).toEqual([[taken]])
    // A server credential of the loud tenant has its own way in.
    const asServer = { Authorization: `Bearer ${token}` }
    expect((await post(`${server.url}/v1/events`, new Agent(), EVENT, asServer)).status).toBe(202)
    expect((await send(`${server.url}/metrics`, { method: 'GET' })).text).toContain(
      'outcome="too_many_requests"',
    )
    await stopped(server)
  })
})

const hasOpenssl = spawnSync('openssl', ['version']).status === 0

describe.skipIf(!hasOpenssl)('a server with a certificate (openssl makes it)', () => {
  test('takes plain and packed batches on one connection, and hands them to SQL', async () => {
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    const out = ['-keyout', key, '-out', cert, '-subj', '/CN=localhost', '-days', '2']
    const name = ['-addext', 'subjectAltName=IP:127.0.0.1']
    execFileSync('openssl', ['req', '-x509', ...kind, ...out, ...name], { stdio: 'ignore' })
    const data = join(folder, 'tls')
    const server = await startServer(data, { flags: ['--tls-cert', cert, '--tls-key', key] })
    expect(server.url).toMatch(/^https:/)
    const { writeKey } = readCredentials(data)
    const agent = new TlsAgent({ keepAlive: true, maxSockets: 1 })
    const url = `${server.url}/v1/events?key=${writeKey}`
    const large = `[${EVENT}${' '.repeat(500_000)}]`
    for (const body of [EVENT, large, EVENT])
      expect((await post(url, agent, body)).status).toBe(202)
    const packed = { 'Content-Encoding': 'gzip' }
    expect((await post(url, agent, gzipSync(EVENT), packed)).status).toBe(202)
    expect((await post(url, agent, large)).status).toBe(202)
    agent.destroy()
    // The command line finds the server and, told of its issuer, trusts it.
    const sql = ['sql', 'select count(*) as n from events', '--data', data, '--format', 'json']
    const program = [
      process.execPath,
      new URL('../../packages/pipeline/bin/millrace.js', import.meta.url).pathname,
    ]
    const answer = spawnSync(program[0]!, [program[1]!, ...sql], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: cert },
      encoding: 'utf8',
    })
    expect(answer.stdout).toMatch(/\b5\b/)
    const distrusted = spawnSync(program[0]!, [program[1]!, ...sql], { encoding: 'utf8' })
    expect(distrusted.stderr).toContain('shows no certificate we trust')
    await stopped(server)
  })
})

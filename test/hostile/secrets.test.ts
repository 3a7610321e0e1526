/**
 * Every secret of a whole run is looked for wherever the server writes: its log at the finest level, each
 * error it answers, its metrics, the event log, the lake and every other file but those that are made
 * to hold it. Found anywhere else: a leak. The write key is public, and yet no log names it.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import {
  bearerToken,
  millrace,
  readCredentials,
  send,
  sqlRows,
  startServer,
  stopAll,
  stopped,
} from '../support/server.mjs'

const folder = mkdtempSync(join(tmpdir(), 'millrace-secrets-'))
const data = join(folder, 'data')
afterAll(async () => {
  await stopAll()
  rmSync(folder, { recursive: true, force: true })
})

/** Files that are there to hold a secret; nothing else may. */
const MADE_TO_HOLD = /^(?:credentials\.json|keys\/.*|control\.db(?:-wal|-shm)?)$/
const GOOD = JSON.stringify({ eventType: 'a', timestamp: 1_574_000_000_000, path: '/' })
const JSON_TYPE = { 'Content-Type': 'application/json' }

function filesBelow(path: string): string[] {
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesBelow(join(path, entry.name)) : [join(path, entry.name)],
  )
}

test('no secret of a run is in a log, an error, a metric or a file that is not made for it', async () => {
  const server = await startServer(data, { logLevel: 'debug', flags: ['--flush-mib', '1'] })
  const { url } = server
  const credentials = readCredentials(data)
  const { writeKey, clientSecret } = credentials
  const secrets: Record<string, string> = { writeKey, clientSecret }
  const said: string[] = []
  const ask = async (path: string, options: Parameters<typeof send>[1] = {}) => {
    const answer = await send(`${url}${path}`, options)
    if (answer.status >= 400) said.push(answer.text)
    return answer
  }

  // Everything that uses a secret, well and badly.
  const token = await bearerToken(url, credentials)
  const bearer = { Authorization: `Bearer ${token}` }
  secrets.token = token
  secrets.tokenSignature = token.split('.')[2]!
  const session = await ask('/v1/session', {
    headers: JSON_TYPE,
    body: JSON.stringify({ clientId: credentials.clientId, clientSecret }),
  })
  expect(session.status).toBe(200)
  secrets.csrf = session.body.csrf
  secrets.cookie = /millrace_session=([^;]+)/.exec(String(session.headers['set-cookie']))![1]!
  const client = await ask('/v1/clients', {
    headers: { ...bearer, ...JSON_TYPE },
    body: JSON.stringify({ name: 'second', scopes: ['events:read'] }),
  })
  expect(client.status).toBe(201)
  secrets.secondSecret = client.body.clientSecret
  const source = await ask('/v1/sources', {
    headers: { ...bearer, ...JSON_TYPE },
    body: JSON.stringify({ name: 'listed', origins: ['https://a.example'] }),
  })
  secrets.secondKey = source.body.writeKey
  for (const [name, text] of Object.entries(secrets)) expect({ name, text }).toBeDefined()

  await ask(`/v1/events?key=${writeKey}`, { headers: JSON_TYPE, body: GOOD })
  await ask('/v1/events', { headers: { ...JSON_TYPE, 'X-Write-Key': writeKey }, body: GOOD })
  await ask('/v1/events', { headers: { ...JSON_TYPE, ...bearer }, body: `[${GOOD},{"key":1}]` })
  await ask('/v1/events', {
    headers: JSON_TYPE,
    body: `{"key":"${writeKey}","path":"/","events":[${GOOD},5]}`,
  })
  await ask(`/v1/events?key=${writeKey}`, { headers: JSON_TYPE, body: '{broken' })
  await ask(`/v1/events?key=${writeKey}x`, { headers: JSON_TYPE, body: GOOD })
  await ask(`/v1/event?key=${writeKey}`, { headers: JSON_TYPE, body: GOOD })
  await ask(`/v1/query?access_token=${token}`, { headers: JSON_TYPE, body: '{}' })
  await ask('/v1/events', {
    headers: { ...JSON_TYPE, Authorization: `Bearer ${token}x` },
    body: GOOD,
  })
  await ask(`/v1/events?key=${secrets.secondKey}`, {
    headers: { ...JSON_TYPE, Origin: 'https://b.example' },
    body: GOOD,
  })
  await ask('/v1/session', {
    headers: JSON_TYPE,
    body: JSON.stringify({ clientId: 'nobody', clientSecret }),
  })
  await ask('/oauth/token', {
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: `grant_type=password&client_id=x&client_secret=${clientSecret}`,
  })
  await ask(`/oauth/token?client_secret=${clientSecret}`, { method: 'GET' })
  await ask('/v1/sources', {
    headers: { Cookie: `millrace_session=${secrets.cookie}`, ...JSON_TYPE },
    body: '{"name":"x"}',
  })
  await ask('/v1/clients', { headers: { ...bearer, ...JSON_TYPE }, body: '{"scopes":7}' })
  await ask('/v1/batch', {
    headers: {
      ...JSON_TYPE,
      Authorization: `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`,
    },
    body: '{"batch":[{"type":"track"}]}',
  })
  await expect(sqlRows(url, token, `select '${'x'.repeat(9)}' from nowhere`)).rejects.toThrow()
  // Enough for a delivery, whose words are looked at as well.
  const large = JSON.stringify({ ...JSON.parse(GOOD), data: { text: 'x'.repeat(40_000) } })
  for (let batch = 0; batch < 4; batch++) {
    const body = `[${Array.from({ length: 20 }, () => large).join(',')}]`
    expect((await ask(`/v1/events?key=${writeKey}`, { headers: JSON_TYPE, body })).status).toBe(202)
  }
  for (const endMs = performance.now() + 20_000; !server.output().includes('"delivered"'); ) {
    if (performance.now() > endMs) throw new Error('nothing was delivered within 20 s')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  await sqlRows(url, token, 'select count(*) from events')
  const cli = await millrace(['sql', 'select 1 from nowhere', '--data', data])
  said.push(cli.stdout, cli.stderr)
  said.push((await ask('/metrics', { method: 'GET' })).text)
  said.push((await ask('/openapi.json', { method: 'GET' })).text)
  await stopped(server)
  said.push(server.output())

  const privateKeys = filesBelow(join(data, 'keys')).flatMap((path) => [
    ...readFileSync(path, 'utf8').matchAll(/"d":\s*"([^"]+)"/g),
  ])
  for (const [at, [, secret]] of privateKeys.entries()) secrets[`signingKey${at}`] = secret!
  expect(privateKeys.length).toBeGreaterThan(0)

  const leaks: string[] = []
  for (const [name, secret] of Object.entries(secrets)) {
    for (const text of said) if (text.includes(secret)) leaks.push(`${name}: ${text.slice(0, 300)}`)
    for (const path of filesBelow(data)) {
      if (MADE_TO_HOLD.test(relative(data, path))) continue
      if (readFileSync(path, 'latin1').includes(secret)) leaks.push(`${name} in ${path}`)
    }
  }
  expect(leaks).toEqual([])
  // What is looked for is really there where it belongs, or the search proves nothing.
  expect(readFileSync(join(data, 'credentials.json'), 'utf8')).toContain(clientSecret)
  expect(server.output()).toMatch(/"level":20/)
})

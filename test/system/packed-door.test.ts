/**
 * Packed columns through the door of the real process: what it answers, and what its log then holds.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  bearerToken,
  readCredentials,
  type Server,
  send,
  startServer,
  stopAll,
  stopped,
} from '../support/server.mjs'

const folder = mkdtempSync(join(tmpdir(), 'millrace-packed-door-'))
const data = join(folder, 'data')
let server: Server
let key: string
let token: string
let source: string

beforeAll(async () => {
  server = await startServer(data)
  const credentials = readCredentials(data)
  key = credentials.writeKey
  token = await bearerToken(server.url, credentials)
  const headers = { Authorization: `Bearer ${token}` }
  source = (await send(`${server.url}/v1/sources`, { method: 'GET', headers })).body.items[0].name
})
afterAll(async () => {
  await stopped(server)
  expect(server.output()).not.toContain('a fault of ours')
  await stopAll()
  rmSync(folder, { recursive: true })
})

const T = Array.from({ length: 200 }, (_, at) => at * 50)
const PACKED = { v: 1, t0: 1_574_000_000_000, types: ['pointermove'], t: T, x: T, y: T, seq: 3 }
const post = (body: string | Uint8Array, headers = {}, query = `?key=${key}`) =>
  send(`${server.url}/v1/events${query}`, {
    headers: { 'Content-Type': 'application/json', ...headers },
    body,
  })
const bodyOf = (batchId: string | undefined, packed: object, more = {}) =>
  JSON.stringify({ batchId, path: '/', ...more, packed })

interface Kept {
  readonly b: string
  readonly n: number
  readonly e: readonly object[] | null
  readonly p: object | null
  readonly x: readonly object[] | null
}
function recordOf(batchId: string): readonly Kept[] {
  const log = join(data, 'log')
  const segments = readdirSync(log).filter((name) => name.endsWith('.ndjson'))
  const lines = segments.flatMap((name) => readFileSync(join(log, name), 'utf8').split('\n'))
  return lines
    .filter((line) => line.startsWith('{"o":'))
    .map((line) => JSON.parse(line) as Kept)
    .filter(({ b }) => b === batchId)
}

test('a batch of columns is acknowledged and kept as it came', async () => {
  const answer = await post(bodyOf('whole', PACKED))
  expect(answer.status).toBe(202)
  expect(answer.body).toEqual({ batchId: 'whole', accepted: 200, rejected: [], duplicate: false })
  expect(recordOf('whole')).toMatchObject([{ n: 200, e: null, p: PACKED, x: null }])
})

test('sent again, in whatever form, it is taken once', async () => {
  const again = await post(bodyOf('whole', PACKED, { sentAt: 1_574_000_099_000 }))
  expect(again.body).toMatchObject({ accepted: 200, duplicate: true })
  expect(recordOf('whole')).toHaveLength(1)
})

test('it may be compressed, take its id from a header and its credential from a token', async () => {
  const headers = {
    'Content-Encoding': 'gzip',
    'Idempotency-Key': 'zipped',
    Authorization: `Bearer ${token}`,
  }
  const zipped = gzipSync(bodyOf(undefined, PACKED))
  for (const duplicate of [false, true]) {
    const { body } = await post(zipped, headers, `?source=${source}`)
    expect(body).toMatchObject({ batchId: 'zipped', accepted: 200, duplicate })
  }
  expect(recordOf('zipped')).toMatchObject([{ n: 200, e: null, p: PACKED }])
})

test('with refused events it is kept as objects, with the reasons', async () => {
  const { body } = await post(bodyOf('part', { ...PACKED, data: { 7: { a: 1 }, 9: 'no' } }))
  expect(body).toMatchObject({ accepted: 199, duplicate: false })
  expect(body.rejected).toMatchObject([{ index: 9, code: 'wrong_type', pointer: '/data' }])
  const [record] = recordOf('part')
  expect(record).toMatchObject({ n: 199, p: null, x: [{ index: 9, code: 'wrong_type' }] })
  expect(record!.e).toHaveLength(199)
  const again = await post(bodyOf('part', { ...PACKED, data: { 7: { a: 1 }, 9: 'no' } }))
  expect(again.body).toMatchObject({ accepted: 199, rejected: [], duplicate: true })
})

test('of a wrong shape it is refused whole, with a pointer, and leaves nothing', async () => {
  const answer = await post(bodyOf('bad', { ...PACKED, y: [1] }))
  expect(answer.status).toBe(400)
  expect(answer.body).toMatchObject({ code: 'invalid_envelope', pointer: '/packed/y' })
  expect(recordOf('bad')).toEqual([])
})

test('five thousand events are one batch, and a restart finds it', async () => {
  const t = Array.from({ length: 5_000 }, (_, at) => at)
  const packed = { v: 1, t0: 0, types: ['a'], t }
  expect((await post(bodyOf('most', packed))).body).toMatchObject({ accepted: 5_000 })
  expect((await post(bodyOf('over', { ...packed, t: [...t, 1] }))).status).toBe(413)
  await stopped(server)
  server = await startServer(data)
  const again = await post(bodyOf('most', packed))
  expect(again.body).toEqual({ batchId: 'most', accepted: 5_000, rejected: [], duplicate: true })
  expect(recordOf('most')).toHaveLength(1)
})

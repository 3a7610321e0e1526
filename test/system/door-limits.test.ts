/**
 * Who may send, from where and how much: every refusal is a problem that says what to do, none is a
 * fault of the server, and nothing that is refused leaves a trace.
 */

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  bearerToken,
  millrace,
  readCredentials,
  type Server,
  send,
  sqlRows,
  startServer,
  stopAll,
  stopped,
} from '../support/server.mjs'

const MIB = 1_048_576
const folder = mkdtempSync(join(tmpdir(), 'millrace-limits-'))
const data = join(folder, 'data')
let server: Server
let key: string
let token: string
/** Of source `listed`, which lists https://shop.example. */
let listedKey: string

beforeAll(async () => {
  server = await startServer(data)
  const credentials = readCredentials(data)
  key = credentials.writeKey
  token = await bearerToken(server.url, credentials)
  expect((await millrace(['source', 'create', 'listed', '--data', data])).code).toBe(0)
  const allow = ['source', 'allow', 'listed', 'https://shop.example', '--data', data]
  expect((await millrace(allow)).code).toBe(0)
  const { body } = await send(`${server.url}/v1/sources`, {
    method: 'GET',
    headers: { Authorization: `Bearer ${token}` },
  })
  listedKey = body.items.find(({ name }: { name: string }) => name === 'listed').writeKey
})
afterAll(async () => {
  await stopped(server)
  expect(server.output()).not.toContain('a fault of ours')
  await stopAll()
  rmSync(folder, { recursive: true })
})

interface Sent {
  readonly path?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Uint8Array | readonly Uint8Array[]
}

const GOOD = JSON.stringify({ eventType: 'click', timestamp: 1_574_000_000_000, path: '/' })
const post = ({ path = `/v1/events?key=${key}`, headers = {}, body = GOOD }: Sent) =>
  send(`${server.url}${path}`, {
    headers: { 'Content-Type': 'application/json', ...headers },
    body,
  })

async function refusal(sent: Sent) {
  const { status, headers, body } = await post(sent)
  expect(headers['content-type']).toBe('application/problem+json')
  expect(body).toMatchObject({
    status,
    type: `https://millrace.dev/problems/${body.code}`,
    title: expect.stringMatching(/\S/),
    detail: expect.stringMatching(/\S/),
    hint: expect.stringMatching(/\S/),
  })
  return { status, headers, code: body.code, detail: body.detail, pointer: body.pointer }
}

/** What /v1/ledger says was received; a request that is refused whole must not move it. */
async function received(): Promise<number> {
  const headers = { Authorization: `Bearer ${token}` }
  return (await send(`${server.url}/v1/ledger`, { method: 'GET', headers })).body.received
}

const inEnvelope = (members: string) => `{${members},"events":[${GOOD}]}`
const REFUSED: Record<string, readonly [sent: Sent | (() => Sent), status: number, code: string]> =
  {
    'no key': [{ path: '/v1/events' }, 401, 'unauthorized'],
    'an unknown key': [{ path: '/v1/events?key=wk_0' }, 401, 'unauthorized'],
    'an unknown key in a header': [
      { path: '/v1/events', headers: { 'X-Write-Key': 'wk_0' } },
      401,
      'unauthorized',
    ],
    'an unknown key in the envelope': [
      { path: '/v1/events', body: inEnvelope('"key":"wk_0"') },
      401,
      'unauthorized',
    ],
    'a token that is none, beside a good key': [
      { headers: { Authorization: 'Bearer x.y.z' } },
      401,
      'unauthorized',
    ],
    'a source that is not there': [
      () => ({ path: '/v1/events?source=x', headers: { Authorization: `Bearer ${token}` } }),
      404,
      'not_found',
    ],
    'another content type': [
      { headers: { 'Content-Type': 'application/xml' } },
      415,
      'unsupported_media_type',
    ],
    'a form': [
      { headers: { 'Content-Type': 'application/x-www-form-urlencoded' } },
      415,
      'unsupported_media_type',
    ],
    brotli: [
      { headers: { 'Content-Encoding': 'br' }, body: brotliCompressSync(GOOD) },
      415,
      'unsupported_media_type',
    ],
    deflate: [
      { headers: { 'Content-Encoding': 'deflate' }, body: deflateSync(GOOD) },
      415,
      'unsupported_media_type',
    ],
    'gzip in gzip': [
      { headers: { 'Content-Encoding': 'gzip, gzip' }, body: gzipSync(gzipSync(GOOD)) },
      415,
      'unsupported_media_type',
    ],
    'two gzip members': [
      { body: Buffer.concat([gzipSync(`[${GOOD},`), gzipSync(`${GOOD}]`)]) },
      400,
      'invalid_gzip',
    ],
    'bytes behind a gzip member': [
      {
        headers: { 'Content-Encoding': 'gzip' },
        body: Buffer.concat([gzipSync(GOOD), Buffer.from('x')]),
      },
      400,
      'invalid_gzip',
    ],
    'gzip that is none': [{ headers: { 'Content-Encoding': 'gzip' } }, 400, 'invalid_gzip'],
    'gzip that is cut': [{ body: gzipSync(GOOD).subarray(0, -9) }, 400, 'invalid_gzip'],
    'bytes that are not UTF-8': [{ body: Buffer.from(`"caf\xe9"`, 'latin1') }, 400, 'invalid_utf8'],
    'no body': [{ body: '' }, 400, 'malformed_json'],
    'text that is not JSON': [{ body: 'click' }, 400, 'malformed_json'],
    'JSON and more': [{ body: `${GOOD}x` }, 400, 'malformed_json'],
    'an unknown member of the envelope': [
      { body: inEnvelope('"color":1') },
      400,
      'invalid_envelope',
    ],
    'a batch id with a blank': [{ body: inEnvelope('"batchId":"a b"') }, 400, 'invalid_envelope'],
    'a time of the envelope that is none': [
      { body: inEnvelope('"sentAt":"now"') },
      400,
      'invalid_envelope',
    ],
    'events that are no array': [{ body: '{"events":{}}' }, 400, 'invalid_envelope'],
    'a key of an envelope given twice': [
      { body: inEnvelope('"path":"/","path":"/"') },
      400,
      'invalid_envelope',
    ],
  }

describe('a request with', () => {
  test.each(Object.entries(REFUSED))('%s is refused whole', async (_, [sent, status, code]) => {
    const before = await received()
    expect(await refusal(typeof sent === 'function' ? sent() : sent)).toMatchObject({
      status,
      code,
    })
    expect(await received()).toBe(before)
  })

  test('broken JSON is told the byte where it breaks', async () => {
    for (const at of [0, 1, 40, GOOD.length - 1]) {
      const body = `${GOOD.slice(0, at)}\u0000${GOOD.slice(at + 1)}`
      const { code, detail } = await refusal({ body: `[${GOOD},${body}]` })
      expect(code).toBe('malformed_json')
      expect(detail).toContain(String(GOOD.length + 2 + at))
    }
    const inEnvelope_ = await refusal({ body: '{"batchId":"x","events":[{"a":tru}]}' })
    expect(inEnvelope_.detail).toMatch(/\b3[0-3]\b/)
  })

  test('another method is told which there are', async () => {
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'HEAD']) {
      const { status, headers } = await send(`${server.url}/v1/events`, { method })
      expect([method, status, headers.allow]).toEqual([method, 405, 'POST, OPTIONS'])
    }
  })
})

describe('a body larger than a mebibyte', () => {
  const padded = (length: number) => GOOD + ' '.repeat(length - GOOD.length)

  test('of exactly that size is still taken', async () => {
    expect((await post({ body: padded(MIB) })).body).toMatchObject({ accepted: 1 })
    expect((await post({ body: gzipSync(padded(MIB)) })).body).toMatchObject({ accepted: 1 })
  })

  test('is refused by its Content-Length, without it, and when it unpacks to that', async () => {
    const body = Buffer.from(padded(MIB + 1))
    const chunks = Array.from({ length: 65 }, (_, at) =>
      body.subarray(at * 16_384, (at + 1) * 16_384),
    )
    for (const sent of [{ body }, { body: chunks }, { body: gzipSync(body) }])
      expect(await refusal(sent)).toMatchObject({ status: 413, code: 'body_too_large' })
  })

  test('is refused so that a sender that reads only when it has written all reads why', async () => {
    const { hostname, port } = new URL(server.url)
    const socket = connect(Number(port), hostname)
    const failed = new Promise<string>((resolve) => {
      socket.once('error', (error) => resolve(String(error)))
    })
    const written = async () => {
      socket.write(`POST /v1/events?key=${key} HTTP/1.1\r\nHost: ${hostname}\r\n`)
      socket.write(`Content-Type: application/json\r\nContent-Length: ${2 * MIB}\r\n\r\n`)
      // In pieces with pauses: the answer is sent after the head, and most is written after it.
      for (let piece = 0; piece < 32; piece++) {
        socket.write(Buffer.alloc(65_536, ' '))
        await sleep(10)
      }
      const answer = once(socket, 'data') as Promise<[Buffer]>
      return (await answer)[0].toString()
    }
    expect(await Promise.race([written(), failed])).toMatch(/^HTTP\/1\.1 413 /)
    socket.destroy()
  })

  test('that is a gigabyte packed in one is refused at once, in constant memory', async () => {
    const member = gzipSync(Buffer.alloc(16 * MIB))
    const bomb = Buffer.concat(Array(64).fill(member)).subarray(0, MIB)
    expect(bomb.length).toBeGreaterThan(1_000_000)
    const before = residentBytes()
    const startedMs = performance.now()
    const answers = await Promise.all(Array.from({ length: 8 }, () => refusal({ body: bomb })))
    expect(performance.now() - startedMs).toBeLessThan(2_000)
    expect(answers.map(({ code }) => code)).toEqual(Array(8).fill('body_too_large'))
    expect((residentBytes() - before) / MIB).toBeLessThan(50)
  })
})

function residentBytes(): number {
  const status = readFileSync(`/proc/${server.child.pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) * 1_024
}

describe('a page of another origin', () => {
  const origin = 'https://anywhere.example'

  test('may ask first', async () => {
    const { status, headers } = await send(`${server.url}/v1/events?key=${key}`, {
      method: 'OPTIONS',
      headers: {
        Origin: origin,
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'content-type',
      },
    })
    expect(status).toBe(204)
    expect(headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-methods': expect.stringContaining('POST'),
      'access-control-allow-headers': expect.stringMatching(/content-type/i),
    })
    expect(headers['access-control-allow-credentials']).toBeUndefined()
  })

  test('may send and read the answer where the source lists no origins', async () => {
    const { status, headers } = await post({ headers: { Origin: origin } })
    expect(status).toBe(202)
    expect(headers['access-control-allow-origin']).toBe(origin)
    expect(headers.vary).toBe('Origin')
  })

  test('is refused where the source lists others, and reads nothing', async () => {
    const path = `/v1/events?key=${listedKey}`
    const foreign = await refusal({ path, headers: { Origin: origin } })
    expect(foreign).toMatchObject({ status: 403, code: 'forbidden_origin' })
    expect(foreign.headers['access-control-allow-origin']).toBeUndefined()
    const listed = await post({ path, headers: { Origin: 'https://shop.example' } })
    expect(listed.status).toBe(202)
    expect((await post({ path })).status).toBe(202)
    expect(
      await sqlRows(server.url, token, `select count(*) from events where source = 'listed'`),
    ).toEqual([[2]])
  })
})

test('a client that leaves in the middle of a body leaves nothing and harms nobody', async () => {
  const before = await received()
  for (const size of [0, 1, 50]) {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    await new Promise((resolve) => socket.once('connect', resolve))
    socket.write(
      `POST /v1/events?key=${key} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${GOOD.length}\r\n\r\n${GOOD.slice(0, size)}`,
    )
    await new Promise((resolve) => setTimeout(resolve, 20))
    socket.destroy()
  }
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(await received()).toBe(before)
  expect((await post({})).status).toBe(202)
})

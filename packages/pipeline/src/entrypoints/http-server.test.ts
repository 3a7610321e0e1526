import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { get } from 'node:https'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import { Hono } from 'hono'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FastLane } from '../collector/fast-lane.ts'
import { Connections, connectionsThatFit } from './connections.ts'
import { type HttpServer, type ListenOptions, listen } from './http-server.ts'
import { watchCertificate } from './tls.ts'

const opened: HttpServer[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((server) => server.close()))
})

/** The server with one page, which says what it was asked for. */
async function open(more: Partial<ListenOptions> = {}) {
  const app = new Hono()
  app.all('*', (context) => context.text(`path ${new URL(context.req.url).pathname}`))
  const server = await listen(
    {
      app,
      hot: () => false,
      lane: (ordinary, timeouts) => {
        // Nothing here is the lane's: without a door it would fail at the first batch.
        const lane = { door: undefined as never, observer: undefined as never }
        const elapsed = () => performance.now()
        const fast = new FastLane({ ...lane, elapsed, timeouts, ordinary })
        fast.take = ordinary
        return fast
      },
    },
    {
      host: '127.0.0.1',
      port: 0,
      limits: { max: 100, maxPerAddress: 100, trusted: [] },
      warn: () => {},
      ...more,
    },
  )
  opened.push(server)
  return { url: server.url, port: Number(new URL(server.url).port) }
}

const ended = (socket: Socket) =>
  new Promise<string>((resolve) => {
    let got = ''
    socket.on('data', (chunk) => {
      got += chunk.toString()
    })
    socket.on('error', () => {}).on('close', () => resolve(got))
  })

async function ask(port: number, text: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' })
  const got = ended(socket)
  socket.write(text)
  // One that is wrongly kept open has said all by then.
  setTimeout(() => socket.destroy(), 1_000)
  return got
}

describe('a head that two parsers could read differently, or no honest client sends', () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, at) => `X-${at}: 1\r\n`).join('')
  const cases: [what: string, status: number, text: string][] = [
    ['two hosts', 400, 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'],
    ['two hosts that differ', 400, 'GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n'],
    ['no host', 400, 'GET / HTTP/1.1\r\n\r\n'],
    ['chunks in HTTP/1.0', 400, 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['65 headers', 431, `GET / HTTP/1.1\r\nHost: a\r\n${many(64)}\r\n`],
    ['TRACE', 405, 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a target of another host', 400, 'GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n'],
    [
      'two lengths',
      400,
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
    ],
    [
      'a length and chunks',
      400,
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a head of 20 KB', 431, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`],
  ]
  test.each(cases)('%s: %i, and the connection ends', async (_, status, text) => {
    const { port } = await open()
    const answer = await ask(port, text)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1)
  })

  test.each([
    ['64 headers', `GET / HTTP/1.1\r\nHost: a\r\n${many(62)}Connection: close\r\n\r\n`, '/'],
    ['its own host', 'GET http://A/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', '/x'],
    ['no path', 'GET http://a?q HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', '/'],
  ])('%s is taken', async (_, text, path) => {
    const { port } = await open()
    const answer = await ask(port, text)
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(answer).toContain(`path ${path}`)
  })
})

describe('connections', () => {
  const socketOf = (remoteAddress: string) => {
    const leaving: (() => void)[] = []
    const once = (_: string, left: () => void) => leaving.push(left)
    return { remoteAddress, once: once as never, leave: () => leaving[0]?.() }
  }

  test('of one address are bounded, those of this machine and of proxies only by all', () => {
    const limits = { max: 20, maxPerAddress: 3, trusted: ['10.0.0.1', '2001:DB8::1'] }
    const connections = new Connections(limits)
    const admitted = (address: string, count: number) =>
      Array.from({ length: count }, () => connections.admit(socketOf(address))).filter(Boolean)
        .length
    expect(admitted('192.0.2.1', 5)).toBe(3)
    expect(admitted('::ffff:192.0.2.1', 1)).toBe(0)
    expect(admitted('2001:db8::2', 5)).toBe(3)
    expect(admitted('::ffff:127.0.0.1', 5)).toBe(5)
    expect(admitted('10.0.0.1', 4)).toBe(4)
    expect(admitted('2001:db8::1', 4)).toBe(4)
    expect(admitted('127.0.0.1', 9)).toBe(1)
  })

  test('that close make room for others', () => {
    const connections = new Connections({ max: 2, maxPerAddress: 1, trusted: [] })
    const first = socketOf('192.0.2.1')
    expect(connections.admit(first)).toBe(true)
    expect(connections.admit(socketOf('192.0.2.1'))).toBe(false)
    first.leave()
    expect(connections.admit(socketOf('192.0.2.1'))).toBe(true)
    expect(connections.admit(socketOf('192.0.2.2'))).toBe(true)
    expect(connections.admit(socketOf('192.0.2.3'))).toBe(false)
  })

  test('leave files to the log, where the system tells how many there are', () => {
    const limits = 'Limit  Soft Limit  Hard Limit\nMax open files            4096   4096  files\n'
    expect(connectionsThatFit(10_000, limits)).toBe(3_584)
    expect(connectionsThatFit(100, limits)).toBe(100)
    expect(connectionsThatFit(100, limits.replaceAll('4096', '64'))).toBe(1)
    expect(connectionsThatFit(100, '')).toBe(100)
    expect(connectionsThatFit(100, limits.replaceAll('4096', 'unlimited'))).toBe(100)
  })

  test('beyond the bound are closed unread, and the others go on', async () => {
    const { port } = await open({ limits: { max: 2, maxPerAddress: 2, trusted: [] } })
    const held = [0, 1].map(() => connect({ port, host: '127.0.0.1' }))
    await Promise.all(
      held.map((socket) => new Promise((resolve) => socket.once('connect', resolve))),
    )
    expect(await ask(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).toBe('')
    const answer = ended(held[0]!)
    held[0]!.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(await answer).toContain('path /')
    held[1]!.destroy()
  })
})

const hasOpenssl = spawnSync('openssl', ['version']).status === 0

describe.skipIf(!hasOpenssl)('TLS (openssl makes the certificates)', () => {
  let folder: string
  const file = (name: string) => join(folder, name)
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-tls-'))
    for (const name of ['one', 'two']) {
      const out = ['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)]
      const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
      const subject = ['-subj', `/CN=${name}`, '-days', '2']
      execFileSync('openssl', ['req', '-x509', ...kind, ...out, ...subject], { stdio: 'ignore' })
    }
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const use = (name: string) => {
    copyFileSync(file(`${name}.pem`), file('cert.pem'))
    copyFileSync(file(`${name}.key`), file('key.pem'))
  }
  const certificate = () => ({ cert: file('cert.pem'), key: file('key.pem') })
  const nameShown = (port: number) =>
    new Promise<string>((resolve, reject) => {
      const socket = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN))
        socket.destroy()
      })
      socket.on('error', reject)
    })

  test('answers on https, and not below TLS 1.2', async () => {
    use('one')
    const { url, port } = await open({ certificate: certificate() })
    expect(url).toMatch(/^https:/)
    const text = await new Promise<string>((resolve, reject) => {
      const sent = get(`${url}/page`, { rejectUnauthorized: false }, (response) => {
        response.on('data', (chunk) => resolve(String(chunk)))
      })
      sent.on('error', reject)
    })
    expect(text).toBe('path /page')
    const old = { port, host: '127.0.0.1', rejectUnauthorized: false } as const
    const failed = new Promise<Error>((resolve) => {
      const versions = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1' } as const
      tlsConnect({ ...old, ...versions, ciphers: 'ALL@SECLEVEL=0' }).on('error', resolve)
    })
    expect(String(await failed)).toMatch(/protocol|version|alert/i)
  })

  test('shows a renewed certificate to new connections, and keeps the old while a pair does not fit', async () => {
    use('one')
    const shown: string[] = []
    const warned: unknown[] = []
    const unwatch = watchCertificate(
      certificate(),
      ({ cert }) => shown.push(cert.toString()),
      (error) => warned.push(error),
      20,
    )
    await new Promise((resolve) => setTimeout(resolve, 60))
    copyFileSync(file('two.pem'), file('cert.pem'))
    await expect.poll(() => warned.length).toBeGreaterThan(0)
    expect(shown).toEqual([])
    copyFileSync(file('two.key'), file('key.pem'))
    await expect.poll(() => shown.length).toBeGreaterThan(0)
    unwatch()
  })

  test('does not start with files that are no pair', async () => {
    const wrong = { cert: file('one.pem'), key: file('two.key') }
    await expect(open({ certificate: wrong })).rejects.toMatchObject({ code: 'bad_config' })
    const none = { cert: file('none.pem'), key: file('two.key') }
    await expect(open({ certificate: none })).rejects.toMatchObject({ code: 'bad_config' })
  })

  test('shows the name of its certificate', async () => {
    use('two')
    const { port } = await open({ certificate: certificate() })
    expect(await nameShown(port)).toBe('two')
  })
})

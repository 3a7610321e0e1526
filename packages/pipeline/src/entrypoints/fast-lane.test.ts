import { connect, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Door } from '../collector/accept-batch.ts'
import { DoorQueue, type Waiting } from '../collector/door-queue.ts'
import { FastLane } from '../collector/fast-lane.ts'
import { ingestRoute } from '../collector/ingest-route.ts'
import type { LaneTimeouts } from '../collector/lane-connection.ts'
import { LoadGate, RECEIVING_BYTES_MAX } from '../collector/load-gate.ts'
import { Quota } from '../collector/quota.ts'
import { requestStamper } from '../collector/stamp.ts'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { openMemoryLog } from '../log/memory-log.ts'
import { createSource, createTenant } from '../tenants/create-tenant.ts'
import { MemoryTenantStore } from '../tenants/memory-tenant-store.ts'
import { type HttpServer, listen } from './http-server.ts'

/** An answer counts as whole when nothing more came for so long; there is none if nothing came at all. */
const QUIET_MS = 200
const SILENT_MS = 1_000
/** No request answered for so long: the server waits. */
const STALL_MS = 200
/** Connections at once: more would measure the machine's patience. */
const AT_ONCE = 50
const EVENT = '{"eventType":"click","timestamp":"2026-11-15T18:05:00Z","path":"/"}'
const BODY = `[${EVENT},${EVENT}]`

interface Both {
  readonly server: HttpServer
  readonly port: number
  readonly log: ReturnType<typeof openMemoryLog>
  readonly gate: LoadGate
  handedOver: number
  answered: number
  /** Added to the server's monotone time. */
  skewMs: number
  /** Of the bodies of what was answered. */
  bodyBytes: number
  /** The server's side of the newest connection. */
  connected: Socket | undefined
}

const FREE = { requestsPerSecond: 0, bytesPerSecond: 0 }
const LIMITS = { max: 1_000, maxPerAddress: 1_000, trusted: [] }

/** The whole server but for its pages, on a log in memory; without the lane if `isOrdinary`. */
async function open(
  isOrdinary: boolean,
  timeouts?: LaneTimeouts,
  rates = FREE,
  given?: Pick<DoorQueue, 'enter' | 'isFull' | 'isCrowded'>,
): Promise<Both> {
  const store = new MemoryTenantStore()
  // The same keys in both servers.
  const random = { bytes: (count: number) => new Uint8Array(count).fill(++seed) }
  let seed = 0
  const makers = { store, clock: systemClock, random }
  await createTenant(makers, { tenantId: 'acme' })
  await createSource(makers, { tenantNo: 1, name: 'shop', origins: ['https://shop.example'] })
  const log = openMemoryLog({ clock: systemClock, random: systemRandom })
  const answered = (_outcome: string, _elapsedMs: number, bodyBytes: number) => {
    both.answered++
    both.bodyBytes += bodyBytes
  }
  const observer = { accepted: () => {}, answered, failed: () => {} }
  const elapsed = () => performance.now() + both.skewMs
  const quota = new Quota({ key: rates, tenant: FREE, server: FREE })
  const gate = new LoadGate({
    quota,
    overdue: () => false,
    elapsed,
    queue:
      given ??
      new DoorQueue({ elapsed, atEnd: setImmediate, later: setTimeout, isBlocked: () => false }),
  })
  const door: Door = {
    log,
    store,
    authorizeBearer: async () => ({ tenant: store.tenantByNo(1)! }),
    stamp: requestStamper(),
    clock: systemClock,
    observer,
    gate,
  }
  const app = new Hono()
  app.all('*', (context) => context.text('other'))
  const hot = ingestRoute(door, observer, elapsed)
  const both = {
    port: 0,
    log,
    gate,
    handedOver: 0,
    answered: 0,
    bodyBytes: 0,
    skewMs: 0,
    connected: undefined,
  } as {
    -readonly [K in keyof Both]: Both[K]
  }
  both.server = await listen(
    {
      app,
      hot,
      lane: (next, given) => {
        const ordinary: typeof next = (socket) => {
          both.handedOver++
          next(socket)
        }
        const lane = new FastLane({
          door,
          observer,
          elapsed,
          timeouts: timeouts ?? given,
          ordinary,
        })
        const take = isOrdinary ? next : lane.take.bind(lane)
        lane.take = (socket) => {
          both.connected = socket
          take(socket)
        }
        return lane
      },
    },
    { host: '127.0.0.1', port: 0, limits: LIMITS, warn: () => {} },
  )
  both.port = Number(new URL(both.server.url).port)
  return both
}

let fast: Both
let ordinary: Both
let writeKey: string
let shopKey: string

beforeAll(async () => {
  fast = await open(false)
  ordinary = await open(true)
  const store = new MemoryTenantStore()
  const random = { bytes: (count: number) => new Uint8Array(count).fill(++seed) }
  let seed = 0
  const made = await createTenant({ store, clock: systemClock, random }, { tenantId: 'acme' })
  if (made === 'exists') throw new Error('made twice')
  writeKey = made.writeKey
  const shop = await createSource(
    { store, clock: systemClock, random },
    { tenantNo: 1, name: 'shop', origins: [] },
  )
  if (shop === 'exists') throw new Error('made twice')
  shopKey = shop.writeKey
})

afterAll(async () => {
  await Promise.all([fast.server.close(), ordinary.server.close()])
})

interface Exchange {
  readonly text: string
  readonly closed: boolean
}

/** Sends the pieces one after another and gives all that comes back. */
function exchange(port: number, pieces: readonly (string | Buffer)[]): Promise<Exchange> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    let text = ''
    let timer: NodeJS.Timeout | undefined
    const done = (closed: boolean) => {
      clearTimeout(timer)
      socket.destroy()
      // What a server makes up differs between two of them.
      resolve({ text: text.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID'), closed })
    }
    const wait = () => {
      clearTimeout(timer)
      timer = setTimeout(() => done(false), text === '' ? SILENT_MS : QUIET_MS)
    }
    socket.on('data', (chunk) => {
      text += chunk.toString()
      wait()
    })
    socket.on('end', () => done(true)).on('error', () => done(true))
    socket.on('connect', async () => {
      for (const piece of pieces) {
        socket.write(piece)
        if (pieces.length > 1) await new Promise((next) => setTimeout(next, 5))
      }
      wait()
    })
  })
}

const head = (lines: readonly string[], path = `/v1/events?key=${writeKey}`) =>
  `POST ${path} HTTP/1.1\r\n${['Host: a', ...lines].map((line) => `${line}\r\n`).join('')}\r\n`
const json = 'Content-Type: application/json'
const sized = (body: string | Buffer) => `Content-Length: ${Buffer.byteLength(body)}`
const plain = (more: readonly string[] = [], body = BODY) =>
  head([json, sized(body), ...more]) + body

async function both(...pieces: (string | Buffer)[]): Promise<Exchange> {
  const [short, long] = await Promise.all([
    exchange(fast.port, pieces),
    exchange(ordinary.port, pieces),
  ])
  expect(short).toEqual(long)
  return short
}

/**
 * The same, but that `node:http` reads ahead: when what follows a request is no HTTP it says so and
 * closes before the request's own answer is there, where the lane answers both in their order.
 */
async function alike(bytes: Buffer): Promise<Exchange> {
  const [short, long] = await Promise.all([
    exchange(fast.port, [bytes]),
    exchange(ordinary.port, [bytes]),
  ])
  const readAhead = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'
  if (long.text === readAhead && short.text.endsWith(readAhead)) return long
  expect(short).toEqual(long)
  return short
}

async function all(requests: readonly (() => Promise<Exchange>)[]): Promise<Exchange[]> {
  const answers: Exchange[] = []
  for (let at = 0; at < requests.length; at += AT_ONCE)
    answers.push(...(await Promise.all(requests.slice(at, at + AT_ONCE).map((one) => one()))))
  return answers
}

const count = (text: string, part: string) => text.split(part).length - 1

describe('the fast lane takes', () => {
  const takes = async (expected: string, ...pieces: (string | Buffer)[]) => {
    const before = fast.handedOver
    const { text } = await both(...pieces)
    expect(text).toContain(expected)
    expect(fast.handedOver).toBe(before)
    return text
  }

  test('a plain batch, with the answer of the ordinary way', async () => {
    expect(await takes('"accepted":2', plain())).toMatch(/^HTTP\/1\.1 202 Accepted\r\n/)
  })

  test('one batch after another on a connection, whatever their lengths', async () => {
    const text = await takes('202', plain(), plain([], `[${EVENT}]`), plain(), plain([], BODY))
    expect(count(text, 'HTTP/1.1 202')).toBe(4)
  })

  test('batches that are sent before the answer, in their order', async () => {
    const ids = Array.from({ length: 20 }, (_, at) => `batch-${at}`)
    const text = await takes('202', ids.map((id) => plain([`Idempotency-Key: ${id}`])).join(''))
    expect([...text.matchAll(/"batchId":"(batch-\d+)"/g)].map(([, id]) => id)).toEqual(ids)
  })

  test('a body in pieces, and a batch behind it in the last piece', async () => {
    const two = plain() + plain()
    const at = plain().length
    const text = await takes(
      '202',
      two.slice(0, at - 60),
      two.slice(at - 60, at - 20),
      two.slice(at - 20),
    )
    expect(count(text, 'HTTP/1.1 202')).toBe(2)
  })

  test('the bytes of bodies into account, as the ordinary way does', async () => {
    const before = [fast.bodyBytes, ordinary.bodyBytes]
    await takes('401 Unauthorized', head([json, sized(BODY)], '/v1/events') + BODY)
    await takes('202', plain([], '[]'))
    const grown = [fast.bodyBytes, ordinary.bodyBytes].map((sum, at) => sum - before[at]!)
    expect(grown).toEqual([BODY.length + 2, BODY.length + 2])
  })

  test('an origin, and a refusal of it', async () => {
    await takes(
      'Access-Control-Allow-Origin: https://a.example',
      plain(['Origin: https://a.example']),
    )
    const body = `{"key":"${shopKey}","events":[${EVENT}]}`
    const sent = (origin: string) =>
      head([json, sized(body), `Origin: ${origin}`], '/v1/events') + body
    await takes('202 Accepted', sent('https://shop.example'))
    await takes('403 Forbidden', sent('https://evil.example'))
  })

  test('what the door refuses: no key, no JSON, a bad event among good ones', async () => {
    await takes('401 Unauthorized', head([json, sized(BODY)], '/v1/events') + BODY)
    await takes('400 Bad Request', plain([], '[{"a'))
    await takes('"rejected":[{"index":1', plain([], `[${EVENT},{"path":"/ü"}]`))
  })

  test('a server credential, a key in a header, a source by its name', async () => {
    await takes('202', plain(['Authorization: Bearer a.b.c']))
    const keyed = head([json, sized(BODY), `x-write-KEY: ${writeKey}`], '/v1/events') + BODY
    await takes('202', keyed)
    const named = head([json, sized(BODY), 'Authorization: Bearer a.b.c'], '/v1/events?source=none')
    await takes('404 Not Found', named + BODY)
  })
})

describe('what the fast lane does not know gets the ordinary answer', () => {
  const chunked = `Transfer-Encoding: chunked\r\n`
  const cases: [string, () => (string | Buffer)[]][] = [
    [
      'a chunked body',
      () => [`${head([json, chunked.trim()])}${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`],
    ],
    ['both lengths', () => [`${head([json, sized(BODY), chunked.trim()])}0\r\n\r\n${plain()}`]],
    ['two lengths', () => [head([json, sized(BODY), 'Content-Length: 5']) + BODY]],
    ['the same length twice', () => [head([json, sized(BODY), sized(BODY)]) + BODY]],
    ['a length with a sign', () => [head([json, `Content-Length: +${BODY.length}`]) + BODY]],
    ['a length of nothing', () => [head([json, 'Content-Length: 0'])]],
    ['no length', () => [head([json])]],
    ['a body above the limit', () => [head([json, 'Content-Length: 1048577'])]],
    ['a length of twenty digits', () => [head([json, 'Content-Length: 10000000000000000000'])]],
    ['an expectation', () => [head([json, sized(BODY), 'Expect: 100-continue']) + BODY]],
    ['an upgrade', () => [plain(['Upgrade: h2c', 'Connection: upgrade'])]],
    ['a last request', () => [plain(['Connection: close'])]],
    ['gzip', () => [head([json, 'Content-Encoding: gzip', sized(gzipSync(BODY))]), gzipSync(BODY)]],
    [
      'gzip that does not say so',
      () => [Buffer.concat([Buffer.from(head([json, sized(gzipSync(BODY))])), gzipSync(BODY)])],
    ],
    ['another content type', () => [head(['Content-Type: text/html', sized(BODY)]) + BODY]],
    ['no content type', () => [head([sized(BODY)]) + BODY]],
    ['no host', () => [`POST /v1/events HTTP/1.1\r\n${json}\r\n${sized(BODY)}\r\n\r\n${BODY}`]],
    ['two hosts', () => [plain(['Host: b'])]],
    ['HTTP/1.0', () => [plain().replace('HTTP/1.1', 'HTTP/1.0')]],
    ['another method', () => [plain().replace('POST', 'PUT')]],
    [
      'a preflight',
      () => [`OPTIONS /v1/events HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\r\n`],
    ],
    ['another path', () => [`GET /else HTTP/1.1\r\nHost: a\r\n\r\n`]],
    ['a folded line', () => [plain(['X-A: 1\r\n 2'])]],
    ['a blank before the colon', () => [plain(['X-A : 1'])]],
    ['bytes above ASCII', () => [plain(['X-A: ü'])]],
    ['line feeds alone', () => [plain().replaceAll('\r\n', '\n')]],
    ['no HTTP at all', () => ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n']],
    ['a long head', () => [plain([`X-A: ${'a'.repeat(9_000)}`])]],
    ['a head that is too long', () => [plain([`X-A: ${'a'.repeat(20_000)}`])]],
    ['a plain batch, then a strange one', () => [`${plain()}${plain(['Connection: close'])}`]],
    ['a plain batch, later a strange one', () => [plain(), plain(['X-A : 1'])]],
    ['a strange batch, then a plain one', () => [plain(['TE: trailers']) + plain()]],
    [
      'a smuggled request',
      () => [
        `${head([json, 'Content-Length: 5', 'Transfer-Encoding : chunked'])}0\r\n\r\n${plain()}`,
      ],
    ],
  ]

  test.each(cases)('%s', async (_, pieces) => {
    const before = fast.handedOver
    await both(...pieces())
    expect(fast.handedOver).toBe(before + 1)
  })

  test('a request split at any byte', async () => {
    const text = plain(['Idempotency-Key: split'])
    await both(text)
    const places = Array.from({ length: text.length - 1 }, (_, at) => at + 1)
    const answers = await all(places.map((at) => () => both(text.slice(0, at), text.slice(at))))
    expect([...new Set(answers.map((answer) => answer.text))]).toEqual([answers[0]?.text])
    expect(answers[0]?.text).toContain('"duplicate":true')
  })

  test('a head with any byte changed, cut out or put in', async () => {
    const byte = fc.constantFrom(...'\r\n\t :;,a0?%&=/\0\x7f\x80\xff'.split(''))
    const change = fc.tuple(fc.nat(), byte, fc.constantFrom('change', 'cut', 'put'))
    const heads = fc.sample(fc.array(change, { minLength: 1, maxLength: 2 }), {
      numRuns: 300,
      seed: 20_191_115,
    })
    const text = head([json, sized(BODY), 'Origin: https://a.example'])
    const mutated = heads.map((changes) =>
      changes.reduce((now, [at, character, kind]) => {
        const place = at % now.length
        const kept = now.slice(kind === 'put' ? place : place + 1)
        return now.slice(0, place) + (kind === 'cut' ? '' : character) + kept
      }, text),
    )
    await all(mutated.map((one) => () => alike(Buffer.from(one + BODY + plain(), 'latin1'))))
  })
})

describe('a sender that reads no answer', () => {
  const REQUESTS = 30

  test('is not answered on and on into memory, and gets all when it reads', async () => {
    const before = fast.answered
    const socket = connect({ port: fast.port, host: '127.0.0.1' }).resume()
    const met = fast.connected
    await expect.poll(() => fast.connected).not.toBe(met)
    // As if the system's buffers, which differ from machine to machine, were full.
    fast.connected!.cork()
    // A kilobyte is answered with twelve: each of its events is refused with a reason. Two such answers
    // are more than a stream takes without saying so.
    socket.write(plain([], `[${Array(500).fill(0)}]`).repeat(REQUESTS))
    let answered = -1
    while (answered !== fast.answered) {
      answered = fast.answered
      await new Promise((resolve) => setTimeout(resolve, STALL_MS))
    }
    expect(answered - before).toBe(2)
    fast.connected!.uncork()
    await expect.poll(() => fast.answered - before).toBe(REQUESTS)
    socket.destroy()
  })
})

describe('a connection of the lane ends', () => {
  const timeouts = { firstByteMs: 200, bodyMs: 400, keepAliveMs: 600, drainMs: 500 }
  const closing = async (pieces: readonly string[]) => {
    const server = await open(false, timeouts)
    const text = await new Promise<string>((resolve) => {
      const socket = connect({ port: server.port, host: '127.0.0.1' })
      let got = ''
      socket.on('data', (chunk) => {
        got += chunk.toString()
      })
      socket.on('close', () => resolve(got))
      for (const piece of pieces) socket.write(piece)
    })
    await server.server.close()
    return text
  }

  test('when nothing comes, when a body does not end, when no other request comes', async () => {
    const [nothing, half, idle] = await Promise.all([
      closing([]),
      closing([plain().slice(0, -1)]),
      closing([plain()]),
    ])
    expect(nothing).toMatch(/^HTTP\/1\.1 408 /)
    expect(half).toMatch(/^HTTP\/1\.1 408 /)
    expect(idle).toMatch(/^HTTP\/1\.1 202 /)
  })

  test('when the sender ends it: after the answer, or in the midst of a body', async () => {
    const end = (text: string) =>
      new Promise<string>((resolve) => {
        const socket = connect({ port: fast.port, host: '127.0.0.1', allowHalfOpen: true })
        let got = ''
        socket.on('data', (chunk) => {
          got += chunk.toString()
        })
        socket.on('end', () => {
          socket.destroy()
          resolve(got)
        })
        socket.end(text)
      })
    expect(await end(plain())).toMatch(/^HTTP\/1\.1 202 /)
    expect(await end(plain().slice(0, -1))).toMatch(/^HTTP\/1\.1 400 /)
    expect(await end('')).toBe('')
  })

  test('when the server stops, at once if it is idle', async () => {
    const server = await open(false)
    const socket = connect({ port: server.port, host: '127.0.0.1' })
    socket.write(plain())
    await new Promise((resolve) => socket.once('data', resolve))
    const startedMs = performance.now()
    const ended = new Promise((resolve) => socket.once('end', resolve))
    await Promise.all([server.server.close(), ended])
    expect(performance.now() - startedMs).toBeLessThan(1_000)
  })
})

describe('when more comes than can be done', () => {
  /** A queue that lets in what the test says, when it says so. */
  function byHand() {
    const waiting: Waiting[] = []
    const queue = { isFull: false, isCrowded: false }
    return {
      queue,
      parts: {
        isFull: () => queue.isFull,
        isCrowded: () => queue.isCrowded,
        enter: (request: Waiting, hasWaited: boolean) => {
          if (hasWaited) request.begin()
          else waiting.push(request)
        },
      },
      count: () => waiting.length,
      waits: async (count: number) => {
        while (waiting.length < count) await new Promise((resolve) => setTimeout(resolve, 1))
      },
      letIn: () => {
        for (const request of waiting.splice(0)) request.begin()
      },
    }
  }
  const client = (port: number) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    const seen = { text: '', ended: false }
    socket.on('data', (chunk) => {
      seen.text += chunk.toString()
    })
    socket.on('end', () => {
      seen.ended = true
    })
    const until = async (wanted: () => boolean) => {
      while (!wanted()) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return { socket, seen, until, statuses: () => statusesIn(seen.text) }
  }
  const statusesIn = (text: string) =>
    [...text.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, code]) => code)
  const quiet = () => new Promise((resolve) => setTimeout(resolve, STALL_MS))

  test.each([false, true])(
    'a request waits for its turn, whatever comes behind it (by node:http: %s)',
    async (isOrdinary) => {
      const { parts, waits, letIn } = byHand()
      const both = await open(isOrdinary, undefined, FREE, parts)
      const { socket, until, statuses } = client(both.port)
      socket.write(plain().slice(0, -10))
      await waits(1)
      socket.write(plain().slice(-10) + plain())
      await quiet()
      expect(statuses()).toEqual([])
      await until(() => {
        letIn()
        return statuses().length === 2
      })
      expect(statuses()).toEqual(['202', '202'])
      socket.destroy()
      await both.server.close()
    },
  )

  test('a body that comes in pieces while it waits is read on when its turn has come', async () => {
    const { parts, waits, letIn } = byHand()
    const both = await open(false, undefined, FREE, parts)
    const { socket, until, statuses } = client(both.port)
    socket.write(plain().slice(0, -20))
    await waits(1)
    for (const [from, to] of [
      [-20, -10],
      [-10, undefined],
    ] as const) {
      socket.write(plain().slice(from, to))
      if (to !== undefined) await quiet()
    }
    await quiet()
    letIn()
    await until(() => statuses().length === 1)
    expect(statuses()).toEqual(['202'])
    socket.destroy()
    await both.server.close()
  })

  test('who ends his side while he waits is answered, and told when his request is cut', async () => {
    const { parts, waits, letIn } = byHand()
    const both = await open(false, undefined, FREE, parts)
    const whole = client(both.port)
    whole.socket.end(plain())
    const cut = client(both.port)
    cut.socket.end(plain().slice(0, -1))
    await waits(2)
    await quiet()
    letIn()
    await Promise.all([whole.until(() => whole.seen.ended), cut.until(() => cut.seen.ended)])
    expect(whole.statuses()).toEqual(['202'])
    expect(cut.statuses()).toEqual(['400'])
    await both.server.close()
  })

  test.each([false, true])(
    'who leaves while he waits leaves nothing behind (by node:http: %s)',
    async (isOrdinary) => {
      const { parts, waits, letIn } = byHand()
      const both = await open(isOrdinary, undefined, FREE, parts)
      const { socket } = client(both.port)
      socket.write(plain())
      await waits(1)
      socket.resetAndDestroy()
      await quiet()
      letIn()
      await quiet()
      expect(both.log.end()).toBe(0)
      expect(both.answered).toBe(0)
      // Nor does it keep room for the body that will not come.
      expect(both.gate.reserve(RECEIVING_BYTES_MAX)).toBeUndefined()
      await both.server.close()
    },
  )

  test.each([false, true])(
    'a newcomer is refused with a pause, and his body dropped (by node:http: %s)',
    async (isOrdinary) => {
      const { parts, queue } = byHand()
      queue.isFull = true
      const both = await open(isOrdinary, undefined, FREE, parts)
      const { text, closed } = await exchange(both.port, [plain().slice(0, -5), plain().slice(-5)])
      expect(statusesIn(text)).toEqual(['503'])
      expect(text).toMatch(/\r\nRetry-After: [1-9]/)
      expect(text).toContain('more comes than one process can take')
      expect(closed).toBe(false)
      expect(both.log.end()).toBe(0)
      await both.server.close()
    },
  )

  /** A connection that has its answer, and waits for the turn of what it has not yet sent. */
  async function unread() {
    const { queue, parts, waits, count, letIn } = byHand()
    queue.isCrowded = true
    const both = await open(false, undefined, FREE, parts)
    const one = client(both.port)
    one.socket.write(plain())
    await waits(1)
    letIn()
    await one.until(() => one.statuses().length === 1)
    await waits(1)
    return { ...one, both, queue, count, letIn }
  }

  test('who has his answer is not read again before his turn, then served at once', async () => {
    const { socket, until, statuses, both, queue, count, letIn } = await unread()
    const readBytes = both.connected!.bytesRead
    socket.write(plain())
    await quiet()
    expect(both.connected!.bytesRead).toBe(readBytes)
    queue.isFull = true
    letIn()
    await until(() => statuses().length === 2)
    expect(statuses()).toEqual(['202', '202'])
    expect(count()).toBe(0)
    // His next one is nobody's turn.
    socket.write(plain())
    await until(() => statuses().length === 3)
    expect(statuses()).toEqual(['202', '202', '503'])
    socket.destroy()
    await both.server.close()
  })

  test('who has nothing to send when his turn comes is read from then on', async () => {
    const { socket, until, statuses, both, queue, count, letIn } = await unread()
    queue.isCrowded = false
    letIn()
    await quiet()
    socket.write(plain())
    await until(() => statuses().length === 2)
    await quiet()
    expect(count()).toBe(0)
    expect(statuses()).toEqual(['202', '202'])
    socket.destroy()
    await both.server.close()
  })

  test('who ends his side before his turn is let go when it comes', async () => {
    const { socket, seen, until, both, letIn } = await unread()
    socket.end()
    await quiet()
    letIn()
    await until(() => seen.ended)
    await both.server.close()
  })

  test('who ends his side after a refusal within the event that brought it is let go too', async () => {
    const { socket, seen, until, statuses, both, count, letIn } = await unread()
    letIn()
    await quiet()
    socket.write(head([json, sized(BODY)], '/v1/events?key=unknown') + BODY)
    await until(() => statuses().length === 2 && count() === 1)
    socket.end()
    await quiet()
    letIn()
    await until(() => seen.ended)
    expect(statuses()).toEqual(['202', '401'])
    await both.server.close()
  })

  test('a server that stops does not wait for who is unread', async () => {
    const { seen, until, both } = await unread()
    await Promise.all([both.server.close(), until(() => seen.ended)])
  })

  test('a request that the lane hands on after its turn does not wait for another', async () => {
    const { queue, parts, waits, count, letIn } = byHand()
    const both = await open(false, undefined, FREE, parts)
    const { socket, until, statuses } = client(both.port)
    const zipped = gzipSync(BODY)
    const send = () => {
      socket.write(head([json, 'Content-Encoding: gzip', sized(zipped)]))
      socket.write(zipped)
    }
    send()
    await waits(1)
    queue.isFull = true
    letIn()
    await until(() => statuses().length === 1)
    expect(count()).toBe(0)
    send()
    await until(() => statuses().length === 2)
    expect(statuses()).toEqual(['202', '503'])
    expect(both.handedOver).toBe(1)
    socket.destroy()
    await both.server.close()
  })

  test('one who comes again at once is not read for a while', async () => {
    const { parts, queue, count, waits, letIn } = byHand()
    queue.isFull = true
    const both = await open(false, undefined, FREE, parts)
    const { socket, until, statuses } = client(both.port)
    socket.write(plain())
    await until(() => statuses().length === 1)
    queue.isFull = false
    socket.write(plain())
    await quiet()
    expect(count()).toBe(0)
    both.skewMs = 10_000
    await waits(1)
    letIn()
    await until(() => statuses().length === 2)
    expect(statuses()).toEqual(['503', '202'])
    socket.destroy()
    await both.server.close()
  })
})

describe('a request over its quota', () => {
  const once = { requestsPerSecond: 1, bytesPerSecond: 0 }
  const VARYING = /(Retry-After: |;[rt]=|Seconds":|remaining":)\d+/g
  /** Both servers with a bucket of two requests; what differs by turn or time is made equal. */
  async function limited(rates: typeof once, pieces: readonly (string | Buffer)[]) {
    const servers = await Promise.all([open(false, undefined, rates), open(true, undefined, rates)])
    const [short, long] = await Promise.all(
      servers.map(async (one) => {
        const { text, closed } = await exchange(one.port, pieces)
        return { text: text.replace(VARYING, '$1N'), closed, one }
      }),
    )
    await Promise.all(servers.map(({ server }) => server.close()))
    expect({ ...short, one: 0 }).toEqual({ ...long, one: 0 })
    expect(short!.one.handedOver).toBe(0)
    return { text: short!.text, closed: short!.closed }
  }

  test('is answered 429 with the pause and the policy, and the connection stays good', async () => {
    const { text, closed } = await limited(once, Array(4).fill(plain()))
    expect([...text.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => status)).toEqual([
      '202',
      '202',
      '429',
      '429',
    ])
    expect(text).toContain('\r\nRetry-After: N\r\n')
    expect(text).toContain('RateLimit-Policy: "key-requests";q=2;w=2\r\n')
    expect(text).toContain('\r\nRateLimit: "key-requests";r=N;t=N\r\n')
    expect(text).toContain('"limit":{"level":"key","unit":"requests","perSecond":1,"remaining":N}')
    expect(closed).toBe(false)
  })

  test('has its body dropped as it comes, to the byte where the next request begins', async () => {
    const large = plain([], JSON.stringify([{ path: 'x'.repeat(300_000) }]))
    const both = large + plain()
    const pieces = [0, 1, 2, 3].map((at) => both.slice(at * 90_000, (at + 1) * 90_000))
    const { text, closed } = await limited(once, [plain() + plain(), ...pieces, plain()])
    expect(count(text, 'HTTP/1.1 202')).toBe(2)
    expect(count(text, 'HTTP/1.1 429')).toBe(3)
    expect(closed).toBe(false)
  })

  test('is measured by its bytes before they have come', async () => {
    const body = `[${EVENT}${' '.repeat(900)}]`
    const rates = { requestsPerSecond: 0, bytesPerSecond: 600 }
    const { text } = await limited(rates, [plain([], body), head([json, sized(body)]), body])
    expect(count(text, 'HTTP/1.1 202')).toBe(1)
    expect(count(text, 'HTTP/1.1 429')).toBe(1)
    expect(text).toContain('RateLimit-Policy: "key-bytes";q=1200;w=2;qu="content-bytes"')
  })

  test('with its key in the body is charged to that key as well', async () => {
    const body = `{"key":"${writeKey}","events":[${EVENT}]}`
    const sent = head([json, sized(body)], '/v1/events') + body
    const { text } = await limited(once, [plain(), sent, sent])
    expect(count(text, 'HTTP/1.1 202')).toBe(2)
    expect(count(text, 'HTTP/1.1 429')).toBe(1)
  })
})

test('what a packed body unpacks to is charged to the requests after it', async () => {
  const rates = { requestsPerSecond: 0, bytesPerSecond: 1_000 }
  const server = await open(false, undefined, rates)
  const packed = gzipSync(`[${EVENT}${' '.repeat(20_000)}]`)
  expect(packed.length).toBeLessThan(200)
  const sent = [head([json, 'Content-Encoding: gzip', sized(packed)]), packed]
  expect((await exchange(server.port, sent)).text).toContain(' 202 ')
  expect((await exchange(server.port, [plain()])).text).toContain(' 429 ')
  await server.server.close()
})

describe('bodies that are being received', () => {
  const half = () => plain().slice(0, -20)
  const chunked = () => `${head([json, 'Transfer-Encoding: chunked'])}5\r\n[    \r\n`

  test.each([
    ['on the short way', half],
    ['on the long way', chunked],
  ])('share a bounded room, %s, and leave it when their sender leaves', async (_, part) => {
    const server = await open(false)
    const isEmpty = () => {
      if (server.gate.reserve(RECEIVING_BYTES_MAX) !== undefined) return false
      server.gate.release(RECEIVING_BYTES_MAX)
      return true
    }
    const socket = connect({ port: server.port, host: '127.0.0.1' })
    socket.on('error', () => {})
    socket.write(part())
    await expect.poll(isEmpty).toBe(false)
    socket.destroy()
    await expect.poll(isEmpty).toBe(true)
    // A body that is whole has left it as well.
    expect((await exchange(server.port, [half(), plain().slice(-20)])).text).toContain(' 202 ')
    expect(isEmpty()).toBe(true)
    await server.server.close()
  })

  test('are refused when there is no room, and the connection stays good', async () => {
    for (const isOrdinary of [false, true]) {
      const server = await open(isOrdinary)
      expect(server.gate.reserve(RECEIVING_BYTES_MAX)).toBeUndefined()
      const { text, closed } = await exchange(server.port, [half(), plain().slice(-20)])
      expect(text).toMatch(/^HTTP\/1\.1 503 [\s\S]*\r\nRetry-After: [2-5]\r\n/)
      expect(closed).toBe(false)
      await server.server.close()
    }
  })
})

describe('a slow sender and a slow reader', () => {
  const connected = async (to: Both) => {
    const met = to.connected
    const socket = connect({ port: to.port, host: '127.0.0.1' })
    await expect.poll(() => to.connected).not.toBe(met)
    let got = ''
    socket.on('data', (chunk) => {
      got += chunk.toString()
    })
    const closed = new Promise<string>((resolve) => {
      socket.on('error', () => {}).on('close', () => resolve(got))
    })
    return { socket, closed, mine: to.connected! }
  }
  const soon = { timeout: 3_000 }

  test('a body slower than a kilobyte a second is ended before its time is up', async () => {
    const server = await open(false)
    const body = `[${EVENT}${' '.repeat(100_000)}]`
    const [slow, steady] = [await connected(server), await connected(server)]
    slow.socket.write(head([json, sized(body)]) + body.slice(0, 2_000))
    steady.socket.write(head([json, sized(body)]) + body.slice(0, 50_000))
    await new Promise((resolve) => setTimeout(resolve, 100))
    server.skewMs = 6_000
    expect(await slow.closed).toMatch(/^HTTP\/1\.1 408 /)
    steady.socket.end(body.slice(50_000))
    expect(await steady.closed).toMatch(/^HTTP\/1\.1 202 /)
    await server.server.close()
  })

  test('an answer that is not taken for ten seconds ends the connection', async () => {
    const server = await open(false)
    const { socket, mine } = await connected(server)
    mine.cork()
    socket.write(plain())
    await expect.poll(() => mine.writableLength).toBeGreaterThan(0)
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    expect(mine.destroyed).toBe(false)
    server.skewMs = 10_001
    await expect.poll(() => mine.destroyed, soon).toBe(true)
    await server.server.close()
  })
})

/**
 * Fills a tenant with made-up visits of the last days, through the same HTTP door that real traffic
 * takes: declared synthetic, the same for the same seed.
 *
 * Batches carry fixed ids, so a simulation that was stopped may be run again: what arrived is
 * recognised. For that each visit has a seed of its own: only its time depends on when it is made.
 * The request's user agent is the made-up visitor's, so that devices and bots are resolved by the
 * server as real ones are.
 */
import { Agent, request as httpRequest } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import { limits } from '@millrace/protocol'
import { MillraceError } from '../../kit/errors.ts'
import { retryAfterMsOf } from '../connection.ts'
import { packView } from './pack-view.ts'
import { type Seeded, seeded } from './seeded.ts'
import { BAD_EVENT_COUNT, newVisitor, type Visitor } from './shop-model.ts'
import { makeVisit, type PageView } from './visit.ts'

export interface SimulateOptions {
  readonly url: string
  /** Fresh Bearer token at each call. */
  readonly token: () => Promise<string>
  readonly visits: number
  readonly days: number
  readonly seed: number
  /** The simulated days end here. */
  readonly endMs: number
  readonly onProgress: (visits: number, events: number) => void
}

export interface Simulated {
  readonly visits: number
  readonly accepted: number
  readonly rejected: number
  /** Events of batches that the server had already. */
  readonly duplicate: number
}

const IN_FLIGHT_MAX = 8
const ATTEMPTS_MAX = 60
const RETRY_MS = 500
const EVENTS_PER_BATCH = 400

/** One event of each kind that a door must refuse; spread over the visits. */
const BAD_EVENTS = [
  '"not an object"',
  '{"eventType":"click","timestamp":"2019-02-30 10:00:00Z"}',
  '{"timestamp":1700000000000}',
  '{"eventType":"click","timestamp":1700000000000,"mood":"curious"}',
  '{"eventType":7,"timestamp":1700000000000}',
  '{"eventType":"","timestamp":1700000000000}',
  '{"eventType":"click","timestamp":1700000000000,"seq":-1}',
  '{"eventType":"click","timestamp":1700000000000,"consent":{"measure":false}}',
]

export async function simulate(options: SimulateOptions): Promise<Simulated> {
  const wire = { keepAlive: true, maxSockets: IN_FLIGHT_MAX }
  const agent = options.url.startsWith('https:') ? new TlsAgent(wire) : new Agent(wire)
  const under = new Set<Promise<void>>()
  let accepted = 0
  let rejected = 0
  let duplicate = 0
  let failure: unknown
  const starts = visitStarts(seeded(options.seed), options)
  const badEvery = Math.max(1, Math.floor(options.visits / BAD_EVENT_COUNT))
  let bad = 0
  for (const [index, startMs] of starts.entries()) {
    const random = seeded(visitSeed(options.seed, index))
    const visitor = newVisitor(random)
    const visitorId = `v-${options.seed}-${Math.floor(index * 0.8)}`
    for (const [viewIndex, view] of makeVisit(random, visitor, startMs).entries()) {
      const broken =
        viewIndex === 0 && index % badEvery === 0 && bad < BAD_EVENT_COUNT
          ? BAD_EVENTS[bad++ % BAD_EVENTS.length]
          : undefined
      for (const body of bodies(options.seed, index, viewIndex, visitorId, view, broken)) {
        if (failure !== undefined) throw failure
        const sent = send(options, agent, visitor, body).then(
          (answer) => {
            if (answer.duplicate) duplicate += answer.accepted
            else accepted += answer.accepted
            rejected += answer.rejected.length
          },
          (error: unknown) => {
            failure ??= error
          },
        )
        const tracked = sent.finally(() => under.delete(tracked))
        under.add(tracked)
        if (under.size >= IN_FLIGHT_MAX) await Promise.race(under)
      }
    }
    options.onProgress(index + 1, accepted + duplicate)
  }
  await Promise.all(under)
  agent.destroy()
  if (failure !== undefined) throw failure
  return { visits: options.visits, accepted, rejected, duplicate }
}

/** A seed for each visit, spread by the golden ratio's bits (Knuth, TAOCP 6.4). */
const visitSeed = (seed: number, visit: number): number =>
  Math.imul(seed ^ Math.imul(visit + 1, 0x9e3779b1), 0x85ebca6b)

/** Start times over the days, ascending: shops are busy in the evening and quiet at night. */
function visitStarts(random: Seeded, { visits, days, endMs }: SimulateOptions): number[] {
  const dayMs = 24 * 3_600_000
  // The last visit must be over by the end: no events of the future.
  const lastMs = endMs - 30 * 60_000
  return Array.from({ length: visits }, () => {
    for (;;) {
      const startMs = lastMs - random.next() * days * dayMs
      const hour = (startMs % dayMs) / 3_600_000
      if (random.chance(0.15 + 0.85 * Math.max(0, Math.sin(((hour - 6) / 18) * Math.PI))))
        return startMs
    }
  }).sort((left, right) => left - right)
}

function* bodies(
  seed: number,
  visit: number,
  viewIndex: number,
  visitorId: string,
  view: PageView,
  broken: string | undefined,
): Iterable<string> {
  const pageId = `p-${seed}-${visit}-${viewIndex}`
  const common = `"historical":true,"visitorId":"${visitorId}","sessionId":"s-${seed}-${visit}","pageId":"${pageId}","path":"${view.url}"`
  const { events } = view
  for (let start = 0; start < events.length; start += EVENTS_PER_BATCH) {
    const part = events.slice(start, start + EVENTS_PER_BATCH)
    yield `{"batchId":"sim-${seed}-${visit}-${viewIndex}-${start}",${common},"packed":${packView(part)}}`
  }
  if (broken !== undefined) {
    yield `{"batchId":"sim-${seed}-${visit}-${viewIndex}-${events.length}",${common},"events":[${broken}]}`
  }
}

interface Answer {
  readonly accepted: number
  readonly rejected: readonly unknown[]
  readonly duplicate: boolean
}

async function send(
  options: SimulateOptions,
  agent: Agent,
  visitor: Visitor,
  body: string,
): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await post(options.url, agent, await options.token(), visitor.agent, body)
    if ('accepted' in outcome) return outcome
    const { status, retryAfterMs } = outcome
    if ((status !== 0 && status !== 429 && status < 500) || attempt === ATTEMPTS_MAX) {
      throw new MillraceError(
        'refused',
        status === 0
          ? `no server answers at ${options.url}`
          : `the server answered ${status} to a simulated batch`,
      )
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(RETRY_MS, retryAfterMs)))
  }
}

const NO_ANSWER: Unanswered = { status: 0, retryAfterMs: 0 }

interface Unanswered {
  /** 0 when no server answered. */
  readonly status: number
  readonly retryAfterMs: number
}

function post(
  url: string,
  agent: Agent,
  token: string,
  userAgent: string,
  body: string,
): Promise<Answer | Unanswered> {
  if (Buffer.byteLength(body) > limits.BODY_BYTES_MAX)
    throw new Error('a simulated batch is too large')
  return new Promise((resolve) => {
    const headers = {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
      'User-Agent': userAgent,
    }
    const request = url.startsWith('https:') ? tlsRequest : httpRequest
    const sent = request(`${url}/v1/events`, { agent, method: 'POST', headers }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', () => resolve(NO_ANSWER))
      response.on('end', () =>
        resolve(
          response.statusCode === 202
            ? (JSON.parse(Buffer.concat(parts).toString()) as Answer)
            : {
                status: response.statusCode ?? 0,
                retryAfterMs: retryAfterMsOf(response.headers['retry-after']),
              },
        ),
      )
    })
    sent.on('error', () => resolve(NO_ANSWER))
    sent.end(body)
  })
}

/**
 * Valid batches with bytes changed, cut out, doubled and put in, at the real server over HTTP: every
 * answer is a 2xx or a 4xx, the process lives, and the account is what the answers said.
 *
 * MILLRACE_MUTATIONS sets how many (default 3,000; the long form is 100,000), MILLRACE_SEED replays one.
 */
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Campaign, startCampaign } from '../support/account.ts'
import { seeded } from '../support/seeded.mjs'
import { UNLIMITED } from '../support/unlimited.mjs'

const COUNT = Number(process.env.MILLRACE_MUTATIONS ?? 3_000)
const SEED = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000)
const AT_ONCE = 16

let campaign: Campaign
beforeAll(async () => {
  campaign = await startCampaign(UNLIMITED)
})
afterAll(() => campaign.end())

const event = (more: object = {}) => ({
  eventType: 'click',
  timestamp: 1_574_000_000_000,
  path: '/a?utm_source=x',
  target: '#buy > "a"\\b',
  data: { clientX: 12.5, clientY: -3, pointerType: 'mouse', list: [1, null, { deep: 'ü€😀' }] },
  consent: { measure: true },
  seq: 3,
  ...more,
})
const packed = {
  v: 1,
  t0: 1_574_000_000_000,
  types: ['pointermove', 'click'],
  targets: ['#a', 'main > b'],
  t: [0, 50, 100],
  type: [0, 0, 1],
  target: [-1, 0, 1],
  seq: 4,
  x: [1, 2.5, 3],
  y: [1, null, 3],
  all: { offsetX: 0, offsetY: 40, pointerId: 1, pointerType: 'mouse' },
  data: { '2': { clientX: 3, button: 0 } },
}
const BATCHES = [
  event(),
  [event(), event({ eventType: 'a' }), event({ timestamp: '2019-11-15 18:05:00Z' })],
  {
    batchId: 'b',
    sentAt: 1_574_000_000_000,
    visitorId: 'v',
    path: '/p',
    events: [event(), event()],
  },
  { sentAt: 1_574_000_000_000, path: '/p', sessionId: 's', packed },
].map((batch) => Buffer.from(JSON.stringify(batch)))

/** Bytes that mean something to a parser come oftener than chance has them. */
const PIECES = ['"', '\\', '{', '}', '[', ']', ',', ':', '\\u0000', '\\ud800', '\0', '\n', '\ufeff']
  .concat(
    '1e999',
    '-0',
    'null',
    '"__proto__":',
    '"eventType":',
    '"events":',
    '"packed":',
    '\x1f\x8b',
  )
  .map((piece) => Buffer.from(piece))

function mutated(random: (below: number) => number): Buffer {
  let bytes = Buffer.from(BATCHES[random(BATCHES.length)]!)
  for (let step = random(4); step >= 0; step--) {
    const at = random(bytes.length)
    const upTo = Math.min(bytes.length, at + 1 + random(12))
    const parts = [
      [bytes.subarray(0, at), Buffer.from([random(256)]), bytes.subarray(at + 1)],
      [bytes.subarray(0, at), bytes.subarray(upTo)],
      [bytes.subarray(0, upTo), bytes.subarray(at)],
      [bytes.subarray(0, at), PIECES[random(PIECES.length)]!, bytes.subarray(at)],
    ][random(4)]!
    bytes = Buffer.concat(parts)
    if (bytes.length === 0) break
  }
  return bytes
}

test(`${COUNT} mutated batches, seed ${SEED}`, async () => {
  const chance = seeded(SEED)
  const random = (below: number) => Math.floor(chance() * below)
  const statuses = new Map<number, number>()
  for (let done = 0; done < COUNT; done += AT_ONCE) {
    const bodies = Array.from({ length: AT_ONCE }, () => mutated(random))
    const answers = await Promise.all(
      bodies.map((body) =>
        random(8) === 0
          ? campaign.post(gzipSync(body), { 'Content-Encoding': 'gzip' })
          : campaign.post(body),
      ),
    )
    for (const { status } of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1)
  }
  for (const status of statuses.keys()) expect([202, 400, 401]).toContain(status)
  // Both ways are met often, or the mutations are too harmless or too crude to tell anything.
  expect(statuses.get(202) ?? 0).toBeGreaterThan(COUNT / 20)
  expect(statuses.get(400) ?? 0).toBeGreaterThan(COUNT / 20)
})

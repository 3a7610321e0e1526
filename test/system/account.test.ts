/**
 * The account of a tenant, against counts of its own: each event that was sent is in one column, also
 * when the server is killed and delivery is met at work.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import {
  bearerToken,
  readCredentials,
  type Server,
  send,
  sqlRows,
  startServer,
  stopAll,
  stopped,
} from '../support/server.mjs'

const EVENTS_PER_BATCH = 100
/** Some 400 bytes an event, so that a life's batches are worth a delivery of 1 MiB. */
const TARGET = `main > ${'div > '.repeat(45)}button`
const folder = mkdtempSync(join(tmpdir(), 'millrace-account-'))
const data = join(folder, 'data')
afterAll(async () => {
  await stopAll()
  rmSync(folder, { recursive: true, force: true })
})

const start = () => startServer(data, { flags: ['--segment-mib', '1', '--flush-mib', '1'] })
let batchNumber = 0
const sent = { accepted: 0, rejected: 0, duplicate: 0, suppressed: 0 }

async function post(server: Server, batch: object) {
  const { writeKey } = readCredentials(data)
  const { status, body } = await send(`${server.url}/v1/events?key=${writeKey}`, {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(batch),
  })
  expect(status).toBe(202)
  return body
}

/** A batch with one refused event and one whose id came before; every third is sent twice. */
async function sendBatch(server: Server): Promise<void> {
  const number = batchNumber++
  const event = (place: number) => ({
    eventType: 'click',
    timestamp: Date.now(),
    path: '/',
    target: TARGET,
    ...(place === 0 && { eventId: 'always the same' }),
  })
  const events: unknown[] = Array.from({ length: EVENTS_PER_BATCH }, (_, place) => event(place))
  const batch = { batchId: `account-${number}`, events: [...events, 5] }
  expect(await post(server, batch)).toMatchObject({ accepted: EVENTS_PER_BATCH, duplicate: false })
  sent.accepted += EVENTS_PER_BATCH
  sent.rejected++
  if (number > 0) sent.suppressed++
  if (number % 3 !== 0) return
  expect(await post(server, batch)).toMatchObject({ duplicate: true })
  sent.duplicate += EVENTS_PER_BATCH + 1
}

async function ledger(server: Server) {
  const token = await bearerToken(server.url, readCredentials(data))
  const headers = { Authorization: `Bearer ${token}` }
  return (await send(`${server.url}/v1/ledger`, { method: 'GET', headers })).body
}

function expectSums(account: Record<string, number>): void {
  const { received, accepted, rejected, duplicate } = account
  const { delivered, pending, undeliverable, suppressed } = account
  expect(received).toBe(accepted! + rejected! + duplicate!)
  expect(accepted).toBe(delivered! + pending! + undeliverable! + suppressed!)
}

test('both sums hold at every look, and over kills and a stop each column is what was sent', async () => {
  let server = await start()
  for (let life = 0; life < 4; life++) {
    for (let batch = 0; batch < 40; batch++) {
      await sendBatch(server)
      if (batch % 10 === 0) expectSums(await ledger(server))
    }
    // The last life ends as it should, so that the count of duplicates is the whole one.
    await stopped(server, life < 3 ? 'SIGKILL' : 'SIGTERM')
    if (life < 3) sent.duplicate = 0
    server = await start()
    const account = await ledger(server)
    expectSums(account)
    expect(account).toMatchObject({ accepted: sent.accepted, rejected: sent.rejected })
    if (life < 3) sent.duplicate = account.duplicate
    else expect(account.duplicate).toBe(sent.duplicate)
  }
  // What is less than a MiB waits on.
  let account = await ledger(server)
  for (let look = 0; look < 100 && account.pending > 40 * EVENTS_PER_BATCH; look++) {
    await new Promise((resolve) => setTimeout(resolve, 200))
    account = await ledger(server)
    expectSums(account)
  }
  expect(account.pending).toBeLessThanOrEqual(40 * EVENTS_PER_BATCH)
  expect(account.suppressed).toBeGreaterThan(100)
  expect(account.undeliverable).toBe(0)
  expect(account.lagMs).toEqual(expect.any(Number))
  const count = "select count(*) from events where event_id = 'always the same'"
  const [[left] = []] = await sqlRows(server.url, readCredentials(data), count)
  expect(left).toBe(sent.suppressed + 1 - account.suppressed)
}, 60_000)

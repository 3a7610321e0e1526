/**
 * A server under load that is killed with SIGKILL again and again, and a checker that trusts nobody.
 *
 * The checker makes the batch ids, remembers which were acknowledged, sends what was not again under the
 * same id, and in the end counts in SQL by batch and index: every acknowledged batch whole, nothing
 * twice, nothing that was never sent.
 */
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { bearerToken, readCredentials, send, sqlRows, startServer, stopped } from './server.mjs'

const EVENTS_PER_BATCH = 10
/** Makes an event some 400 bytes, so that a life's load is worth a delivery. */
const TARGET = `main > ${'div > '.repeat(45)}button`
/** Every other kill comes this long after the server listens, and up to as much again as the second says. */
const KILL_AFTER_MS = 150
const KILL_WITHIN_MS = 1_000
/** The others come while delivery is at work: so long after its process is there, at the latest. */
const KILL_IN_DELIVERY_MS = 2_000
/** A life in which no delivery begins by then is ended all the same. */
const DELIVERY_WAIT_MS = 10_000
const ROWS_PER_QUERY = 10_000
/** One key sends as a thousand sites do. */
const UNLIMITED = ['key', 'tenant'].flatMap((level) => [
  `--${level}-requests-per-second`,
  '0',
  `--${level}-mib-per-second`,
  '0',
])

/**
 * @typedef {object} CrashReport
 * @property {number} kills
 * @property {number} acknowledged Batches.
 * @property {number} retries Batches that were sent again because no answer came.
 * @property {number} lost Acknowledged batches that are not in SQL.
 * @property {number} doubled Batches with a row twice.
 * @property {number} torn Batches with some of their events.
 * @property {number} invented Batches that were never sent.
 * @property {number} slowestReadyMs Spawn to listening, the slowest.
 * @property {number} killedInDelivery Kills that met the delivery process at work.
 * @property {number} deliveringLives Lives of the server in which the lake grew.
 */

/**
 * @param {{ data: string, kills: number, connections: number, flags: readonly string[],
 *   onKill?: (kill: number, acknowledged: number, readyMs: number) => void }} options
 * @returns {Promise<CrashReport>}
 */
export async function crashUnderLoad({ flags, ...rest }) {
  const options = { ...rest, flags: [...flags, ...UNLIMITED] }
  const account = {
    acknowledged: new Set(),
    sent: new Set(),
    again: [],
    retries: 0,
    killedInDelivery: 0,
  }
  let slowestReadyMs = 0
  let deliveringLives = 0
  let deliveredEvents = 0
  for (let kill = 1; kill <= options.kills; kill++) {
    const server = await startServer(options.data, options)
    slowestReadyMs = Math.max(slowestReadyMs, server.readyMs)
    const { delivered } = await ledger(server)
    if (delivered > deliveredEvents) deliveringLives++
    deliveredEvents = delivered
    await loadUntilKilled(server, options.connections, account, kill % 2 === 0)
    options.onKill?.(kill, account.acknowledged.size, server.readyMs)
  }
  const server = await startServer(options.data, options)
  slowestReadyMs = Math.max(slowestReadyMs, server.readyMs)
  try {
    const found = await countByBatch(server)
    return {
      kills: options.kills,
      acknowledged: account.acknowledged.size,
      retries: account.retries,
      slowestReadyMs,
      killedInDelivery: account.killedInDelivery,
      deliveringLives,
      ...judge(account.acknowledged, account.sent, found),
    }
  } finally {
    await stopped(server)
  }
}

/** True when every promise held. */
export function holds({ lost, doubled, torn, invented }) {
  return lost + doubled + torn + invented === 0
}

async function loadUntilKilled(server, connections, account, inDelivery) {
  const { writeKey } = readCredentials(server.data)
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  let over = false
  const ended = new Promise((resolve) => server.child.once('close', resolve))
  void momentOfKill(server, inDelivery).then(() => {
    over = true
    if (isDelivering(server)) account.killedInDelivery++
    server.child.kill('SIGKILL')
  })
  server.child.once('close', () => {
    over = true
  })
  const { acknowledged, sent, again } = account
  const keepSending = async () => {
    while (!over) {
      const old = again.pop()
      if (old !== undefined) account.retries++
      const id = old ?? `kill-${sent.size}`
      sent.add(id)
      if (await post(server.url, agent, writeKey, id)) acknowledged.add(id)
      else again.push(id)
    }
  }
  await Promise.all(Array.from({ length: connections }, keepSending))
  await ended
  agent.destroy()
}

async function momentOfKill(server, inDelivery) {
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
  if (!inDelivery) return sleep(KILL_AFTER_MS + Math.random() * KILL_WITHIN_MS)
  const startedMs = performance.now()
  while (!isDelivering(server) && performance.now() - startedMs < DELIVERY_WAIT_MS) await sleep(20)
  return sleep(Math.random() * KILL_IN_DELIVERY_MS)
}

/** Whether the server's delivery process is there: it is a child, started for the first job. */
function isDelivering({ child: { pid } }) {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
    return children.some((each) =>
      readFileSync(`/proc/${each}/cmdline`, 'utf8').includes('delivery'),
    )
  } catch {
    return false
  }
}

function judge(acknowledged, sent, found) {
  let doubled = 0
  let torn = 0
  let invented = 0
  for (const [id, { rows, indexes }] of found) {
    if (!sent.has(id)) invented++
    if (rows > indexes) doubled++
    if (indexes !== EVENTS_PER_BATCH) torn++
  }
  return { lost: [...acknowledged].filter((id) => !found.has(id)).length, doubled, torn, invented }
}

function post(url, agent, key, batchId) {
  const events = Array.from({ length: EVENTS_PER_BATCH }, (_, at) => ({
    eventType: 'pointermove',
    timestamp: Date.now(),
    path: '/',
    target: TARGET,
    data: { clientX: at, clientY: at },
    seq: at,
  }))
  const headers = { 'Content-Type': 'application/json' }
  return new Promise((resolve) => {
    const sent = request(`${url}/v1/events?key=${key}`, { agent, method: 'POST', headers })
    sent.on('response', (response) => {
      response.resume()
      response.on('error', () => resolve(false))
      response.on('end', () => resolve(response.statusCode === 202))
    })
    sent.on('error', () => resolve(false))
    sent.end(JSON.stringify({ batchId, events }))
  })
}

async function countByBatch({ url, data }) {
  const client = readCredentials(data)
  const found = new Map()
  for (let after = ''; ; ) {
    const rows = await sqlRows(
      url,
      client,
      `select batch_id, count(*), count(distinct event_index) from events
       where batch_id > '${after}' group by 1 order by 1 limit ${ROWS_PER_QUERY}`,
    )
    for (const [id, count, indexes] of rows) found.set(id, { rows: count, indexes })
    if (rows.length < ROWS_PER_QUERY) return found
    after = rows.at(-1)[0]
  }
}

async function ledger({ url, data }) {
  const token = await bearerToken(url, readCredentials(data))
  const headers = { Authorization: `Bearer ${token}` }
  return (await send(`${url}/v1/ledger`, { method: 'GET', headers })).body
}

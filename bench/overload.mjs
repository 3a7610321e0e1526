/**
 * What happens when more comes than can be done. One server under `millrace start`, one generator that
 * keeps to its schedule (support/open-loop.mjs), on one core where `taskset` is there. `--server-cpu 0` holds
 * the server and its delivery to one core as well: then what a turn of it waits for is mostly that core.
 *
 *   node bench/overload.mjs --mode capacity                    the highest rate with p99 ≤ 250 ms, no refusal
 *   node bench/overload.mjs --mode burst [--seconds 120] [--rate C] [--ramp 5]   three times that, within 5 s
 *   node bench/overload.mjs --mode connections [--connections 10000]    opened at once
 *   node bench/overload.mjs --mode neighbour [--seconds 30]    A at ten times its quota, B to E at half
 *   node bench/overload.mjs --mode dead-delivery [--seconds 60] [--disk-mib 512]   root: mounts a tmpfs
 *   node bench/overload.mjs --mode tiny [--tenants 10000] [--events 3]
 *
 * The last line is the figures, as JSON. Accepted events are counted in SQL against what was
 * acknowledged. Batches are of 25 events of about 400 bytes.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import {
  bearerToken,
  readCredentials,
  send,
  sqlRows,
  startServer,
  stopAll,
  stopped,
} from '../test/support/server.mjs'
import { UNLIMITED } from '../test/support/unlimited.mjs'
import { cpuSeconds, machineLine } from './support/machine.mjs'
import { openLoop } from './support/open-loop.mjs'

const { values } = parseArgs({
  options: {
    mode: { type: 'string', default: 'capacity' },
    seconds: { type: 'string' },
    rate: { type: 'string' },
    connections: { type: 'string' },
    'server-cpu': { type: 'string' },
    ramp: { type: 'string', default: '5' },
    tenants: { type: 'string', default: '10000' },
    events: { type: 'string', default: '3' },
    'disk-mib': { type: 'string', default: '512' },
  },
})
const secondsOr = (fallback) => Number(values.seconds ?? fallback)
const connectionsOr = (fallback) => Number(values.connections ?? fallback)
const EVENTS_PER_BODY = 25
const CATCH_UP_MS_MAX = 600_000
const P99_MS_MAX = 250
/** Long enough for delivery, which has the same core, to have its share. */
const STEP_SECONDS = 10
const canPin = spawnSync('taskset', ['-c', '1', 'true']).status === 0
const folder = mkdtempSync(join(tmpdir(), 'millrace-overload-'))
const modes = { capacity, burst, connections, neighbour, 'dead-delivery': deadDelivery, tiny }
const mode = modes[values.mode]
if (mode === undefined) throw new Error(`--mode ${Object.keys(modes).join(', ')}`)

console.log(machineLine())
try {
  const figures = await mode()
  console.log(machineLine())
  console.log(JSON.stringify({ mode: values.mode, ...figures }))
} finally {
  await stopAll()
  rmSync(folder, { recursive: true, force: true })
}

async function start(flags = UNLIMITED, data = join(folder, 'data')) {
  const cpu = values['server-cpu']
  const under = cpu === undefined ? [] : ['taskset', '-c', cpu]
  const server = await startServer(data, { flags, under })
  const credentials = readCredentials(data)
  const token = await bearerToken(server.url, credentials)
  const port = Number(new URL(server.url).port)
  return { ...server, ...credentials, token, port, pid: server.child.pid }
}

function load(streams) {
  return openLoop(streams, { cpu: canPin ? '1' : undefined })
}

async function one({ port, writeKey: key }, perSecond, seconds, connections, rampSeconds = 0) {
  const stream = { name: 'load', port, key, perSecond, seconds, connections, rampSeconds }
  const [report] = await load([stream])
  return report
}

function round(number) {
  return Math.round(number * 10) / 10
}

/** Once delivery has caught up: SQL reads no more of the log than a query's memory holds. */
async function count(server) {
  const startedMs = performance.now()
  while ((await ledger(server)).pending > 0) {
    if (performance.now() - startedMs > CATCH_UP_MS_MAX) throw new Error('delivery is not done')
    await sleep(1_000)
  }
  const token = await bearerToken(server.url, server)
  return Number((await sqlRows(server.url, token, 'select count(*) from events'))[0][0])
}

function memory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const mib = (name) =>
    Math.round(Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)[1]) / 1_024)
  return { rssMib: mib('VmRSS'), rssMaxMib: mib('VmHWM') }
}

/** Since it was asked last. */
async function loopDelayP99Ms({ url }) {
  const { text } = await send(`${url}/metrics`, { method: 'GET' })
  return round(Number(/eventloop_lag_p99_seconds ([\d.e-]+)/.exec(text)?.[1]) * 1_000)
}

async function findCapacity(server) {
  const holds = async (perSecond) => {
    const { accepted, refused, errors } = await one(
      server,
      perSecond,
      STEP_SECONDS,
      connectionsOr(5_000),
    )
    const isGood = accepted.p99 <= P99_MS_MAX && refused.count === 0 && errors === 0
    console.log(
      `${perSecond}/s: p99 ${round(accepted.p99)} ms, ${refused.count} refused${isGood ? '' : ' ✗'}`,
    )
    return isGood
  }
  await one(server, 500, 1, 50)
  let low = 0
  let high = 2_000
  while (await holds(high)) {
    low = high
    high *= 2
  }
  for (let step = 0; step < 3; step++) {
    const middle = Math.round((low + high) / 2)
    if (await holds(middle)) low = middle
    else high = middle
  }
  return low
}

async function capacity() {
  const server = await start()
  const perSecond = await findCapacity(server)
  return { perSecond, eventsPerSecond: perSecond * EVENTS_PER_BODY, ...memory(server.pid) }
}

async function burst() {
  const server = await start()
  const base = values.rate === undefined ? await findCapacity(server) : Number(values.rate)
  const quiet = await one(server, base / 2, 2, 200)
  const before = await count(server)
  await loopDelayP99Ms(server)
  const cpuBefore = cpuSeconds(server.pid)
  const run = await one(server, base * 3, secondsOr(120), connectionsOr(5_000), Number(values.ramp))
  const serverCpuShare = (cpuSeconds(server.pid) - cpuBefore) / run.seconds
  const loopP99Ms = await loopDelayP99Ms(server)
  const after = await one(server, base / 2, 2, 200)
  const inSql = (await count(server)) - before
  const acknowledged = (run.accepted.count + after.accepted.count) * EVENTS_PER_BODY
  return {
    capacityPerSecond: base,
    offeredPerSecond: base * 3,
    acceptedLost: Math.max(0, acknowledged - inSql),
    goodput: Number((run.accepted.count / run.seconds / base).toFixed(2)),
    acceptedP99Ms: round(run.accepted.p99),
    acceptedFromSendingP99Ms: round(run.acceptedFromSending.p99),
    refusedP50Ms: round(run.refused.p50),
    refusedP99Ms: round(run.refused.p99),
    refusedMaxMs: round(run.refused.maxMs),
    statuses: run.statuses,
    pauses: run.pauses,
    errors: run.errors,
    waitedInGenerator: run.late,
    heldBack: run.heldBack,
    unsent: run.unsent,
    generatorLagP99Ms: round(run.lagP99Ms),
    serverCpuShare: Number(serverCpuShare.toFixed(2)),
    loopP99Ms,
    quietP99Ms: round(quiet.accepted.p99),
    afterP99Ms: round(after.accepted.p99),
    ...memory(server.pid),
  }
}

/** Asks for /health again and again, in a thread of its own: this one is busy with its sockets. */
function healthProbe(port) {
  const worker = new Worker(
    `const { get } = require('node:http')
    const { parentPort, workerData: port } = require('node:worker_threads')
    const answers = []
    let isOver = false
    parentPort.once('message', () => { isOver = true })
    const ask = () => {
      const startedMs = performance.now()
      const done = (ms) => {
        answers.push(ms)
        if (isOver) parentPort.postMessage(answers)
        else setTimeout(ask, 10)
      }
      get({ port, host: '127.0.0.1', path: '/health', agent: false }, (response) => {
        response.resume()
        response.on('end', () => done(performance.now() - startedMs))
      }).on('error', () => done(Infinity))
    }
    ask()`,
    { eval: true, workerData: port },
  )
  return () =>
    new Promise((resolve) => {
      worker.once('message', (answers) => {
        resolve(answers.sort((left, right) => left - right))
        void worker.terminate()
      })
      worker.postMessage('stop')
    })
}

async function connections() {
  const server = await start()
  const wanted = connectionsOr(10_000)
  const open = new Set()
  let refused = 0
  const stopProbe = healthProbe(server.port)
  await sleep(300)
  const startedMs = performance.now()
  const opening = Array.from({ length: wanted }, () => {
    const socket = connect({ port: server.port, host: '127.0.0.1' })
    socket.on('connect', () => open.add(socket))
    socket.on('error', () => {})
    return new Promise((resolve) => {
      socket.once('connect', resolve).once('close', () => {
        if (!open.delete(socket)) resolve()
        refused++
      })
    })
  })
  await Promise.all(opening)
  const openedMs = performance.now() - startedMs
  await sleep(200)
  const answers = await stopProbe()
  const held = open.size
  const used = memory(server.pid)
  const run = await one(server, 200, 2, 50)
  for (const socket of open) socket.destroy()
  return {
    wanted,
    held,
    refused,
    openedMs: Math.round(openedMs),
    healthAnswers: answers.length,
    healthMedianMs: round(answers[answers.length >> 1]),
    healthP99Ms: round(answers[Math.floor(answers.length * 0.99)]),
    healthMaxMs: round(answers.at(-1)),
    batchesMeanwhile: run.statuses,
    ...used,
  }
}

async function createTenant({ url, token }, tenantId) {
  const { status, body } = await send(`${url}/v1/tenants`, {
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ tenantId }),
  })
  if (status !== 201) throw new Error(`${tenantId}: ${status} ${body?.detail}`)
  return body
}

async function neighbour() {
  const quota = 200
  const server = await start(['--key-requests-per-second', String(quota)])
  const keys = []
  for (const tenantId of ['b', 'c', 'd', 'e'])
    keys.push((await createTenant(server, tenantId)).writeKey)
  const seconds = secondsOr(30)
  const stream = (name, key, perSecond) => ({
    name,
    key,
    perSecond,
    seconds,
    port: server.port,
    connections: 100,
    eventsPerBody: 5,
  })
  const others = keys.map((key, at) => stream('bcde'[at], key, quota / 2))
  const quiet = await load(others)
  const [loud, ...beside] = await load([stream('a', server.writeKey, quota * 10), ...others])
  const worst = (runs) => Math.max(...runs.map(({ accepted }) => accepted.p99))
  return {
    quotaPerSecond: quota,
    // The two seconds that its bucket held when it began are no rate.
    aOfQuota: Number(((loud.accepted.count - 2 * quota) / (quota * seconds)).toFixed(3)),
    aRefusedP99Ms: round(loud.refused.p99),
    othersRefused: beside.reduce((sum, { refused }) => sum + refused.count, 0),
    othersErrors: beside.reduce((sum, { errors }) => sum + errors, 0),
    othersQuietP99Ms: round(worst(quiet)),
    othersP99Ms: round(worst(beside)),
  }
}

/** Children of the server whose command line has this word. */
function childrenOf(pid, word) {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(
      (child) => child !== '' && readFileSync(`/proc/${child}/cmdline`, 'utf8').includes(word),
    )
    .map(Number)
}

async function deadDelivery() {
  const disk = join(folder, 'disk')
  mkdirSync(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${values['disk-mib']}m`, 'tmpfs', disk])
  let isStopping = true
  const frozen = new Set()
  try {
    const server = await start([...UNLIMITED, '--flush-mib', '1'], join(disk, 'data'))
    const freezing = (async () => {
      while (isStopping) {
        for (const pid of childrenOf(server.pid, 'delivery')) {
          if (!frozen.has(pid)) process.kill(pid, 'SIGSTOP')
          frozen.add(pid)
        }
        await sleep(5)
      }
    })()
    const perSecond = Number(values.rate ?? 500)
    const run = await one(server, perSecond, secondsOr(60), 200)
    const pendingAtEnd = await ledger(server)
    isStopping = false
    await freezing
    const startedMs = performance.now()
    for (const pid of frozen) process.kill(pid, 'SIGCONT')
    let now = pendingAtEnd
    while (now.pending > 0 && performance.now() - startedMs < 120_000) {
      await sleep(200)
      now = await ledger(server)
    }
    const seconds = (performance.now() - startedMs) / 1_000
    const acknowledged = run.accepted.count * EVENTS_PER_BODY
    const result = {
      inputEventsPerSecond: Math.round(acknowledged / run.seconds),
      statuses: run.statuses,
      refusedP99Ms: round(run.refused.p99),
      pendingWhenStopped: pendingAtEnd.pending,
      pendingInTheEnd: now.pending,
      catchUpEventsPerSecond: Math.round((pendingAtEnd.pending - now.pending) / seconds),
      acceptedLost: Math.max(0, acknowledged - (await count(server))),
      ...memory(server.pid),
    }
    await stopped(server)
    return result
  } finally {
    isStopping = false
    await stopAll()
    execFileSync('umount', [disk])
  }
}

async function ledger({ url, ...credentials }) {
  const token = await bearerToken(url, credentials)
  const headers = { Authorization: `Bearer ${token}` }
  return (await send(`${url}/v1/ledger`, { method: 'GET', headers })).body
}

async function tiny() {
  const server = await start()
  const tenantCount = Number(values.tenants)
  const before = memory(server.pid)
  const keys = []
  const startedMs = performance.now()
  const next = { at: 0 }
  const make = async () => {
    // The token outlives the making of ten thousand only if that takes less than a quarter of an hour.
    while (next.at < tenantCount) {
      const tenantId = `t${next.at++}`
      keys.push((await createTenant(server, tenantId)).writeKey)
    }
  }
  // One is there from the start.
  next.at = 1
  await Promise.all(Array.from({ length: 16 }, make))
  const createSeconds = (performance.now() - startedMs) / 1_000
  const created = memory(server.pid)
  const sentMs = performance.now()
  const cpuBefore = cpuSeconds(server.pid)
  const event = JSON.stringify({ eventType: 'page', timestamp: Date.now(), path: '/' })
  let taken = 0
  const sendAll = async () => {
    for (let key = keys.pop(); key !== undefined; key = keys.pop()) {
      for (let at = 0; at < Number(values.events); at++) {
        const headers = { 'Content-Type': 'application/json' }
        const { status } = await send(`${server.url}/v1/events?key=${key}`, {
          headers,
          body: event,
        })
        if (status === 202) taken++
      }
    }
  }
  await Promise.all(Array.from({ length: 32 }, sendAll))
  const sendSeconds = (performance.now() - sentMs) / 1_000
  const sendCpu = cpuSeconds(server.pid) - cpuBefore
  const after = memory(server.pid)
  await sleep(1_000)
  const idleBefore = cpuSeconds(server.pid)
  await sleep(5_000)
  const idleCpu = (cpuSeconds(server.pid) - idleBefore) / 5
  return {
    tenants: tenantCount,
    createdPerSecond: round((tenantCount - 1) / createSeconds),
    kibPerTenantCreated: round(((created.rssMib - before.rssMib) * 1_024) / tenantCount),
    kibPerTenantWithEvents: round(((after.rssMib - before.rssMib) * 1_024) / tenantCount),
    accepted: taken,
    acceptedPerSecond: Math.round(taken / sendSeconds),
    cpuMsPerRequest: round((sendCpu / taken) * 1_000),
    idleCpuSecondsPerHour: Math.round(idleCpu * 3_600),
    // Below an event a second a tenant is delivered every six hours: one file in `events`.
    deliveriesPerHourByTheRules: Math.round(tenantCount / 6),
    ...after,
  }
}

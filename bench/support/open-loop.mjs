/**
 * An open-loop load generator in a process of its own: requests are due at fixed times, whatever the
 * answers do, and each latency counts from when its request was due, so that a server that stalls is
 * not flattered by a generator that waits for it.
 *
 * A connection is a client, and the clients are due in turn. What is due while its client is busy waits,
 * and its wait counts. A client that is told `Retry-After` sends nothing for so long and up to a second
 * more, as the tracker does: what is due meanwhile is held back, and counted. Nothing is sent twice. A
 * refusal's latency counts from when its request was sent: how late a client then was is the doing of
 * those that were accepted.
 */
import { fork } from 'node:child_process'
import { connect } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { seeded } from '../../test/support/seeded.mjs'
import { makeBodies } from './events.mjs'
import { buildRequests } from './load.mjs'

const TICK_MS = 1
/** So long after the last was due nothing more is sent, and so long after that no answer counts. */
const DRAIN_MS = 15_000
/** Latencies in buckets of 2 %, from 10 µs on. */
const BASE = Math.log(1.02)
const BUCKETS = 1_200

class Latencies {
  #counts = new Uint32Array(BUCKETS)
  count = 0
  maxMs = 0
  add(ms) {
    this.#counts[Math.min(BUCKETS - 1, Math.max(0, Math.ceil(Math.log(ms * 100) / BASE)))]++
    this.count++
    if (ms > this.maxMs) this.maxMs = ms
  }
  quantile(share) {
    let left = this.count * share
    for (let at = 0; at < BUCKETS; at++) {
      left -= this.#counts[at]
      if (left <= 0 && this.count > 0) return Math.exp(at * BASE) / 100
    }
    return Number.NaN
  }
  report() {
    const { count, maxMs } = this
    return { count, p50: this.quantile(0.5), p99: this.quantile(0.99), maxMs }
  }
}

/**
 * Runs streams at once, each `{ name, port, key, perSecond, connections, seconds, eventsPerBody,
 * rampSeconds }` (until then the rate grows evenly from nothing), and
 * gives for each its answers: `{ accepted, acceptedFromSending, refused, errors, late, heldBack,
 * unsent, statuses, pauses, lagP99Ms, seconds }`; `lagP99Ms` is the generator's own: how late its event
 * loop was; `unsent` was due while its client was busy, and still is in the end.
 */
export function openLoop(streams, { cpu } = {}) {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['generate'], {
      ...(cpu === undefined
        ? {}
        : { execPath: 'taskset', execArgv: ['-c', cpu, process.execPath] }),
    })
    child.send(streams)
    child.once('message', resolve)
    child.once('exit', (code) => reject(new Error(`the generator ended with ${code}`)))
  })
}

if (process.argv[2] === 'generate') {
  process.once('message', async (streams) => {
    const reports = await Promise.all(streams.map(generate))
    process.send(reports, () => process.exit(0))
  })
}

async function generate(stream) {
  const { name, port, key, perSecond, connections, seconds } = stream
  const { rampSeconds = 0, eventsPerBody = 25 } = stream
  const host = '127.0.0.1'
  const path = `/v1/events?key=${key}`
  const requests = buildRequests(makeBodies(100, eventsPerBody), { port, paths: [path] })
  const accepted = new Latencies()
  const acceptedFromSending = new Latencies()
  const refused = new Latencies()
  const statuses = {}
  const pauses = {}
  let errors = 0
  let late = 0
  let heldBack = 0
  let under = 0
  /** Each client has a number, and is due with every request whose number leaves that remainder. */
  const clients = []
  const random = seeded(7)
  const inRamp = (perSecond * rampSeconds) / 2
  const total = Math.round(perSecond * seconds - inRamp)
  let due = 0
  let startedMs = 0
  let isDraining = false
  const dueAfterMs = (request) =>
    request < inRamp
      ? 1_000 * Math.sqrt((2 * request * rampSeconds) / perSecond)
      : 1_000 * (rampSeconds + (request - inRamp) / perSecond)
  const dueMsOf = (request) => startedMs + dueAfterMs(request)
  const fire = (socket) => {
    socket.dueMs = dueMsOf(socket.next)
    socket.sentMs = performance.now()
    under++
    socket.write(requests[socket.next % requests.length])
    socket.next += clients.length
  }
  const answered = (socket, status, pause) => {
    under--
    const nowMs = performance.now()
    statuses[status] = (statuses[status] ?? 0) + 1
    if (status === 202) {
      accepted.add(nowMs - socket.dueMs)
      acceptedFromSending.add(nowMs - socket.sentMs)
    } else refused.add(nowMs - socket.sentMs)
    socket.dueMs = undefined
    if (pause !== undefined) {
      pauses[pause] = (pauses[pause] ?? 0) + 1
      const quietUntilMs = nowMs + (Number(pause) + random()) * 1_000
      for (; dueMsOf(socket.next) < quietUntilMs && socket.next < total; heldBack++) {
        socket.next += clients.length
      }
    } else if (socket.next < due && !isDraining) {
      late++
      fire(socket)
    }
  }
  /** What it was yet to send is not sent. */
  const leave = (socket) => {
    for (; socket.next < total; socket.next += clients.length) errors++
  }
  const open = () =>
    new Promise((resolve) => {
      const socket = connect({ host, port, noDelay: true }, () => resolve(socket))
      let rest = ''
      socket.on('data', (chunk) => {
        rest += chunk.latin1Slice()
        const end = rest.indexOf('\r\n\r\n')
        if (end < 0) return
        const length = Number(/content-length: (\d+)/i.exec(rest)?.[1] ?? 0)
        if (rest.length < end + 4 + length) return
        const status = Number(rest.slice(9, 12))
        const pause = status === 202 ? undefined : /retry-after: (\d+)/i.exec(rest)?.[1]
        rest = ''
        // A connection that was never used is told so before it is closed; that answers no request.
        if (socket.dueMs !== undefined) answered(socket, status, pause)
      })
      socket.on('error', () => resolve(undefined))
      socket.on('close', () => {
        if (socket.dueMs === undefined) return
        errors++
        under--
      })
    })
  for (let at = 0; at < connections; at += 200) {
    const some = Math.min(200, connections - at)
    const opened = await Promise.all(Array.from({ length: some }, open))
    for (const socket of opened.filter(Boolean)) {
      clients.push(Object.assign(socket, { next: clients.length }))
    }
  }
  const delay = monitorEventLoopDelay({ resolution: TICK_MS })
  delay.enable()
  startedMs = performance.now()
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      const nowMs = performance.now() - startedMs
      for (; due < total && dueAfterMs(due) <= nowMs; due++) {
        const socket = clients[due % clients.length]
        if (socket.next === due && socket.dueMs === undefined) {
          if (socket.destroyed || socket.readyState === 'readOnly') leave(socket)
          else fire(socket)
        }
      }
      const lateMs = nowMs - seconds * 1_000
      isDraining = lateMs > DRAIN_MS
      const isSent = isDraining || (due === total && clients.every(({ next }) => next >= total))
      if ((isSent && under === 0) || lateMs > 2 * DRAIN_MS) {
        clearInterval(timer)
        resolve()
      }
    }, TICK_MS)
  })
  errors += under
  let unsent = 0
  for (const { next } of clients) unsent += Math.max(0, Math.ceil((total - next) / clients.length))
  const ranSeconds = (performance.now() - startedMs) / 1_000
  for (const socket of clients) socket.destroy()
  return {
    name,
    offered: total,
    accepted: accepted.report(),
    acceptedFromSending: acceptedFromSending.report(),
    refused: refused.report(),
    errors,
    late,
    heldBack,
    unsent,
    statuses,
    pauses,
    lagP99Ms: delay.percentile(99) / 1e6,
    seconds: ranSeconds,
  }
}

/**
 * An open-loop load generator in a process of its own: requests are due at fixed times, whatever the
 * answers do, and each latency counts from when its request was due, so that a server that stalls is
 * not flattered by a generator that waits for it.
 *
 * A connection carries one request at a time; what is due while all are busy waits its turn, and its
 * wait counts. Nothing is sent twice.
 */
import { fork } from 'node:child_process'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { makeBodies } from './events.mjs'
import { buildRequests } from './load.mjs'

const TICK_MS = 1
/** What is still unanswered so long after the last was due counts as an error. */
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
 * Runs streams at once, each `{ name, port, key, perSecond, connections, seconds, eventsPerBody }`, and
 * gives for each its answers: `{ accepted, refused, errors, statuses, pauses, seconds }`.
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

async function generate({ name, port, key, perSecond, connections, seconds, eventsPerBody = 25 }) {
  const host = '127.0.0.1'
  const path = `/v1/events?key=${key}`
  const requests = buildRequests(makeBodies(100, eventsPerBody), { port, paths: [path] })
  const accepted = new Latencies()
  const refused = new Latencies()
  const statuses = {}
  const pauses = {}
  let errors = 0
  let late = 0
  const idle = []
  /** Due times of what found no idle connection. */
  const queue = []
  let head = 0
  let under = 0
  let sent = 0
  const fire = (socket, dueMs) => {
    socket.dueMs = dueMs
    under++
    socket.write(requests[sent++ % requests.length])
  }
  const answered = (socket, status, pause) => {
    under--
    const ms = performance.now() - socket.dueMs
    socket.dueMs = undefined
    statuses[status] = (statuses[status] ?? 0) + 1
    if (status === 202) accepted.add(ms)
    else refused.add(ms)
    if (pause !== undefined) pauses[pause] = (pauses[pause] ?? 0) + 1
    if (head < queue.length) {
      late++
      fire(socket, queue[head++])
    } else idle.push(socket)
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
    idle.push(...opened.filter(Boolean))
  }
  const startedMs = performance.now()
  const total = Math.round(perSecond * seconds)
  let due = 0
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      const nowMs = performance.now() - startedMs
      for (; due < total && (due * 1_000) / perSecond <= nowMs; due++) {
        const dueMs = startedMs + (due * 1_000) / perSecond
        let socket = idle.pop()
        while (socket?.destroyed || socket?.readyState === 'readOnly') socket = idle.pop()
        if (socket === undefined) queue.push(dueMs)
        else fire(socket, dueMs)
      }
      const isOver = due === total && under === 0 && head === queue.length
      if (isOver || nowMs > seconds * 1_000 + DRAIN_MS) {
        clearInterval(timer)
        resolve()
      }
    }, TICK_MS)
  })
  errors += under + queue.length - head
  const ranSeconds = (performance.now() - startedMs) / 1_000
  for (const socket of idle) socket.destroy()
  return {
    name,
    offered: total,
    accepted: accepted.report(),
    refused: refused.report(),
    errors,
    late,
    statuses,
    pauses,
    seconds: ranSeconds,
  }
}

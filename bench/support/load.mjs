/**
 * A load generator of bare sockets and prebuilt requests, so that it costs less than what it measures.
 *
 * Closed loop: each connection sends the next request when its answer is there. With `perSecond` the
 * loop is open: requests are due at even times whatever the server does, and a latency counts from when
 * its request was due, not from when a connection was free to send it (coordinated omission).
 */
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** One request for each body; each goes to the next of `paths`. */
export function buildRequests(bodies, { port, paths, headers = {} }) {
  const lines = Object.entries({
    Host: `127.0.0.1:${port}`,
    'Content-Type': 'application/json',
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  // At least one request for each path, so that every tenant gets some.
  const count = Math.max(bodies.length, paths.length)
  return Array.from({ length: count }, (_, at) => {
    const body = bodies[at % bodies.length]
    const head = `POST ${paths[at % paths.length]} HTTP/1.1\r\n${lines.join('')}Content-Length: ${body.length}\r\n\r\n`
    return Buffer.concat([Buffer.from(head), body])
  })
}

/**
 * Runs for `seconds`. Answers are counted by status; latencies are in milliseconds, of all answers.
 * `onAnswer(status)` is told of each.
 */
export async function runLoad(requests, options) {
  const { port, connections, seconds, perSecond, tls = false, onAnswer } = options
  const statuses = new Map()
  const latencies = []
  const startMs = performance.now()
  const endMs = startMs + seconds * 1000
  let sent = 0
  /** When request number `sent` is due. */
  const dueMs = () =>
    perSecond === undefined ? performance.now() : startMs + (sent * 1000) / perSecond

  const runConnection = () =>
    new Promise((resolve, reject) => {
      const target = { host: '127.0.0.1', port, noDelay: true }
      const socket = tls ? connectTls({ ...target, rejectUnauthorized: false }) : connect(target)
      let sinceMs = 0
      let rest = ''
      const send = () => {
        const due = dueMs()
        if (due >= endMs) return socket.end()
        const waitMs = due - performance.now()
        if (waitMs > 1) return void setTimeout(send, waitMs - 0.5)
        sinceMs = due
        socket.write(requests[sent++ % requests.length])
      }
      socket.on(tls ? 'secureConnect' : 'connect', send)
      socket.on('data', (chunk) => {
        rest = rest === '' ? chunk.latin1Slice() : rest + chunk.latin1Slice()
        const head = rest.indexOf('\r\n\r\n')
        if (head < 0) return
        const length = Number(/content-length: (\d+)/i.exec(rest)?.[1] ?? 0)
        if (rest.length < head + 4 + length) return
        const status = Number(rest.slice(9, 12))
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        latencies.push(performance.now() - sinceMs)
        onAnswer?.(status)
        rest = ''
        send()
      })
      socket.on('close', resolve)
      socket.on('error', reject)
    })
  await Promise.all(Array.from({ length: connections }, runConnection))

  const sorted = Float64Array.from(latencies).sort()
  const quantile = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  return {
    statuses,
    seconds: (performance.now() - startMs) / 1000,
    p50: quantile(0.5) ?? Number.NaN,
    p99: quantile(0.99) ?? Number.NaN,
    max: quantile(1) ?? Number.NaN,
  }
}

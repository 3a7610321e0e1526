/**
 * A closed-loop load generator: keep-alive connections, each sends the next body when its answer is there.
 * Bare sockets and prebuilt requests, so that it costs less than what it measures.
 */
import { connect } from 'node:net'

export function buildRequests(bodies, { host, port, path, headers = {} }) {
  const lines = Object.entries({
    Host: `${host}:${port}`,
    'Content-Type': 'application/json',
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  return bodies.map((body) =>
    Buffer.concat([
      Buffer.from(
        `POST ${path} HTTP/1.1\r\n${lines.join('')}Content-Length: ${body.length}\r\n\r\n`,
      ),
      body,
    ]),
  )
}

/** Runs for `seconds`; answers are counted by status. */
export async function runLoad(requests, { host, port, connections, seconds }) {
  const statuses = new Map()
  const latencies = []
  let at = 0
  const endMs = performance.now() + seconds * 1000
  await Promise.all(
    Array.from(
      { length: connections },
      () =>
        new Promise((resolve, reject) => {
          const socket = connect({ host, port, noDelay: true })
          let sentMs = 0
          let rest = ''
          const send = () => {
            sentMs = performance.now()
            if (sentMs >= endMs) return socket.end()
            socket.write(requests[at++ % requests.length])
          }
          socket.on('connect', send)
          socket.on('data', (chunk) => {
            rest += chunk.latin1Slice()
            const head = rest.indexOf('\r\n\r\n')
            if (head < 0) return
            const length = Number(/content-length: (\d+)/i.exec(rest)?.[1] ?? 0)
            if (rest.length < head + 4 + length) return
            const status = Number(rest.slice(9, 12))
            statuses.set(status, (statuses.get(status) ?? 0) + 1)
            latencies.push(performance.now() - sentMs)
            rest = ''
            send()
          })
          socket.on('close', resolve)
          socket.on('error', reject)
        }),
    ),
  )
  latencies.sort((left, right) => left - right)
  const quantile = (share) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? Number.NaN
  return { statuses, seconds, p50: quantile(0.5), p99: quantile(0.99) }
}

/**
 * What a durable, validated event costs at the door: CPU microseconds, kernel included.
 *
 *   node bench/ingest.mjs [--rounds 3] [--seconds 3] [--connections 64]
 *
 * Three servers in turn, several rounds, the same bodies (25 events of about 400 bytes): nginx that takes
 * the body off the socket in pieces, throws them away and answers with a head alone (`return 204` never
 * holds a body in one piece and looks at none of it: a floor, no peer; skipped where nginx is missing),
 * the plain server of
 * `peers/plain-node.mjs`, and millrace as it is started by `millrace start`. CPU is that of the process
 * that answers, read from /proc; the lake is written by another process and measured by
 * `bench/delivery.mjs`. Absolute times move with the machine: read the ratios.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { makeBodies } from './support/events.mjs'
import { buildRequests, runLoad } from './support/load.mjs'
import { cpuSeconds, machineLine, median } from './support/machine.mjs'

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '64' },
  },
})
const EVENTS_PER_BODY = 25
const at = (path) => fileURLToPath(new URL(path, import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
const bodies = makeBodies(400, EVENTS_PER_BODY)

const servers = {
  'nginx, read and discard': { start: startNginx, path: '/' },
  'plain node:http + JSON.parse + log': { start: startPlain, path: '/' },
  millrace: { start: startMillrace, path: '/v1/events' },
}
if (spawnSync('nginx', ['-v']).status !== 0) delete servers['nginx, read and discard']

console.log(machineLine())
console.log(
  `bodies of ${EVENTS_PER_BODY} events, ${Math.round(bodies.reduce((sum, body) => sum + body.length, 0) / bodies.length / EVENTS_PER_BODY)} bytes per event, ${flags.connections} connections\n`,
)
const results = Object.fromEntries(Object.keys(servers).map((name) => [name, []]))
for (let round = 0; round < Number(flags.rounds); round++) {
  for (const [name, { start, path }] of Object.entries(servers))
    results[name].push(await measure(start, path))
}
const floor = results['nginx, read and discard']
for (const [name, runs] of Object.entries(results)) {
  const micros = runs.map(({ microsPerEvent }) => microsPerEvent)
  const ratio =
    floor === undefined
      ? ''
      : `  ${(median(micros) / median(floor.map(({ microsPerEvent }) => microsPerEvent))).toFixed(1)} × nginx`
  console.log(
    `${name.padEnd(36)} ${Math.min(...micros).toFixed(2)} / ${median(micros).toFixed(2)} / ${Math.max(...micros).toFixed(2)} µs CPU per event (min/median/max)${ratio}`,
  )
  console.log(
    `${''.padEnd(36)} ${Math.round(median(runs.map(({ perSecond }) => perSecond)) / 1000)} k events/s, p99 ${median(runs.map(({ p99 }) => p99)).toFixed(1)} ms, answers ${JSON.stringify(Object.fromEntries(runs[0].statuses))}`,
  )
}
console.log(machineLine())
rmSync(work, { recursive: true, force: true })

async function measure(start, path) {
  const { child, pid, port, headers, key } = await start()
  const host = '127.0.0.1'
  const requests = buildRequests(bodies, {
    host,
    port,
    path: key === undefined ? path : `${path}?key=${key}`,
    headers,
  })
  const options = { host, port, connections: Number(flags.connections) }
  await runLoad(requests, { ...options, seconds: 2 })
  const before = cpuSeconds(pid())
  const run = await runLoad(requests, { ...options, seconds: Number(flags.seconds) })
  const cpu = cpuSeconds(pid()) - before
  const accepted =
    [...run.statuses]
      .filter(([status]) => status >= 200 && status < 300)
      .reduce((sum, [, count]) => sum + count, 0) * EVENTS_PER_BODY
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
  return {
    microsPerEvent: (cpu * 1e6) / accepted,
    perSecond: accepted / run.seconds,
    p99: run.p99,
    statuses: run.statuses,
  }
}

async function startNginx() {
  const folder = join(work, 'nginx')
  mkdirSync(folder, { recursive: true })
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(' ')
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log; events { worker_connections 512; }
http { access_log off; keepalive_requests 100000000; client_body_buffer_size 64k; ${temporary}
  server { listen 127.0.0.1:9461; location / { return 204; } } }`,
  )
  const child = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder], {
    stdio: 'ignore',
  })
  await answers(9461)
  return { child, pid: () => child.pid, port: 9461 }
}

async function startPlain() {
  const child = spawn(
    process.execPath,
    [at('peers/plain-node.mjs'), '9462', join(work, 'plain.log')],
    { stdio: 'inherit' },
  )
  await answers(9462)
  return { child, pid: () => child.pid, port: 9462 }
}

async function startMillrace() {
  const data = join(work, 'millrace')
  rmSync(data, { recursive: true, force: true })
  const child = spawn(
    process.execPath,
    [
      at('../packages/pipeline/bin/millrace.js'),
      'start',
      '--data',
      data,
      '--port',
      '9463',
      '--log-level',
      'warn',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve)
    child.once('exit', () => reject(new Error('millrace did not start')))
  })
  const { writeKey } = JSON.parse(readFileSync(join(data, 'credentials.json'), 'utf8'))
  return { child, pid: () => child.pid, port: 9463, key: writeKey }
}

async function answers(port) {
  for (let attempt = 0; attempt < 100; attempt++) {
    const open = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true))
      socket.once('error', () => resolve(false))
      socket.unref()
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`nothing listens on ${port}`)
}

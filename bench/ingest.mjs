/**
 * What a durable, validated event costs at the door: CPU microseconds, kernel included.
 *
 *   node bench/ingest.mjs [--rounds 3] [--seconds 3] [--connections 64]
 *   node bench/ingest.mjs --form packed      200 moves a batch in packed columns
 *   node bench/ingest.mjs --table            batches of 1 to 500 events; 1 and 1,000 tenants; TLS
 *   node bench/ingest.mjs --only millrace,rust
 *
 * Servers in turn, several rounds, the same bodies (25 events of about 400 bytes). What each reference
 * does and leaves out is in references/README.md. CPU is that of the process that answers, read from
 * /proc; the lake is written by another process and measured by `bench/delivery.mjs`. Absolute times move
 * with the machine: read the ratios.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { unpackEvents } from '../packages/protocol/dist/index.js'
import { makeBodies, makePackedBodies } from './support/events.mjs'
import { buildRequests, runLoad } from './support/load.mjs'
import { cpuSeconds, machineLine, median, touchMemory } from './support/machine.mjs'
import {
  startBenthos,
  startMillrace,
  startNginx,
  startPlainNode,
  startRust,
} from './support/servers.mjs'

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '64' },
    form: { type: 'string', default: 'json' },
    table: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
})
const EVENTS_PER_BATCH = 25
const MOVES_PER_BATCH = 200
/** Log, spool and lake of one measurement. */
const MEMORY_GIB = 4
/** Distinct bodies: 400 of 25 events. Large ones are fewer, or the bench would hold a gigabyte. */
const bodyCount = (eventsPerBatch) =>
  Math.max(40, Math.min(400, Math.ceil(10_000 / eventsPerBatch)))

const work = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
console.log(machineLine())
try {
  if (flags.table) await printTable()
  else if (flags.form === 'packed') await compare(packedCases(), 'nginx, whole events, 25 a batch')
  else await compare(jsonCases(), 'nginx, read and discard')
} finally {
  rmSync(work, { recursive: true, force: true })
}
console.log(machineLine())

function jsonCases() {
  const batch = { bodies: makeBodies(bodyCount(EVENTS_PER_BATCH), EVENTS_PER_BATCH) }
  const each = { ...batch, eventsPerBatch: EVENTS_PER_BATCH }
  return {
    'nginx, read and discard': { ...each, start: startNginx },
    'rust: hyper + serde + log': { ...each, start: startRust },
    'plain node:http + JSON.parse + log': { ...each, start: startPlainNode },
    'benthos, Bloblang check, no fsync': {
      ...each,
      start: (at) => startBenthos({ ...at, check: 'bloblang' }),
    },
    'benthos, JSON Schema, no fsync': {
      ...each,
      start: (at) => startBenthos({ ...at, check: 'schema' }),
    },
    millrace: { ...each, start: startMillrace },
  }
}

function packedCases() {
  const packed = makePackedBodies(bodyCount(MOVES_PER_BATCH), MOVES_PER_BATCH)
  const objects = packed.map((body) => {
    const { packed: columns, ...envelope } = JSON.parse(body)
    return Buffer.from(JSON.stringify({ ...envelope, events: unpackEvents(columns) }))
  })
  const eventsPerBatch = MOVES_PER_BATCH
  const articles = { bodies: makeBodies(400, EVENTS_PER_BATCH), eventsPerBatch: EVENTS_PER_BATCH }
  return {
    // As such events travel without columns: every member on each of them, 25 a request.
    'nginx, whole events, 25 a batch': { ...articles, start: startNginx },
    'nginx, the same events as JSON': { bodies: objects, eventsPerBatch, start: startNginx },
    'nginx, the packed columns': { bodies: packed, eventsPerBatch, start: startNginx },
    'millrace, the same events as JSON': { bodies: objects, eventsPerBatch, start: startMillrace },
    millrace: { bodies: packed, eventsPerBatch, start: startMillrace },
  }
}

async function compare(cases, floorName) {
  const wanted = flags.only?.split(',')
  const names = Object.keys(cases).filter(
    (name) => wanted === undefined || wanted.some((part) => name.includes(part)),
  )
  const results = new Map(names.map((name) => [name, []]))
  for (let round = 0; round < Number(flags.rounds); round++) {
    for (const name of names) {
      const result = await measure(cases[name])
      if (result !== undefined) results.get(name).push(result)
    }
  }
  const middle = (name) => median((results.get(name) ?? []).map((each) => each.microsPerEvent))
  for (const name of names) {
    const runs = results.get(name)
    if (runs.length === 0) continue
    const { bodies, eventsPerBatch } = cases[name]
    const bytes =
      bodies.reduce((sum, body) => sum + body.length, 0) / bodies.length / eventsPerBatch
    const floor = middle(floorName)
    const rust = middle('rust: hyper + serde + log')
    const ratios = [
      floor && `${(middle(name) / floor).toFixed(2)} × nginx`,
      rust && `${(middle(name) / rust).toFixed(2)} × rust`,
    ].filter(Boolean)
    console.log(
      `${name.padEnd(36)} ${line(runs)}  ${Math.round(bytes)} B/event  ${ratios.join(', ')}`,
    )
  }
}

async function printTable() {
  const certificate = selfSigned()
  // Of this run's own servers: nobody else is asked anything.
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  const rows = []
  for (const eventsPerBatch of [1, 5, 25, 100, 500]) {
    for (const tenants of eventsPerBatch === 25 ? [1, 1000] : [1]) {
      for (const tls of eventsPerBatch === 25 || eventsPerBatch === 500 ? [false, true] : [false]) {
        if (tls && certificate === undefined) continue
        const bodies = makeBodies(bodyCount(eventsPerBatch), eventsPerBatch)
        const options = { tenants, ...(tls && { flags: certificate }) }
        const start = (at) => startMillrace({ ...at, ...options })
        rows.push({ eventsPerBatch, tenants, tls, runs: [], start, bodies })
      }
    }
  }
  for (let round = 0; round < Number(flags.rounds); round++) {
    for (const row of rows) row.runs.push(await measure(row))
  }
  for (const { eventsPerBatch, tenants, tls, runs } of rows) {
    const name = `${eventsPerBatch} events, ${tenants} tenant${tenants > 1 ? 's' : ''}${tls ? ', TLS' : ''}`
    console.log(`${name.padEnd(36)} ${line(runs)}`)
  }
}

function line(runs) {
  const micros = runs.map(({ microsPerEvent }) => microsPerEvent)
  const [low, middle, high] = [Math.min(...micros), median(micros), Math.max(...micros)].map(
    (each) => each.toFixed(2),
  )
  const rate = Math.round(median(runs.map(({ perSecond }) => perSecond)) / 1000)
  const p99 = median(runs.map((run) => run.p99)).toFixed(1)
  const refused = runs.flatMap(({ statuses }) => [...statuses]).filter(([status]) => status >= 300)
  const odd = refused.length > 0 ? `  REFUSED ${JSON.stringify(refused)}` : ''
  return `${low} / ${middle} / ${high} µs CPU per event (min/median/max)  ${rate} k events/s  p99 ${p99} ms${odd}`
}

/** Undefined where the server cannot be had on this machine. */
async function measure({ start, bodies, eventsPerBatch, tls = false }) {
  // Or the kernel still writes what the server before has left, at this one's cost.
  execFileSync('sync')
  const server = await start({ work })
  if (server === undefined) return undefined
  const requests = buildRequests(bodies, server)
  const options = { port: server.port, connections: Number(flags.connections), tls }
  await runLoad(requests, { ...options, seconds: 2 })
  touchMemory(MEMORY_GIB)
  const before = cpuSeconds(server.pid)
  const run = await runLoad(requests, { ...options, seconds: Number(flags.seconds) })
  const cpu = cpuSeconds(server.pid) - before
  await server.stop()
  const accepted = [...run.statuses]
    .filter(([status]) => status >= 200 && status < 300)
    .reduce((sum, [, count]) => sum + count * eventsPerBatch, 0)
  return { ...run, microsPerEvent: (cpu * 1e6) / accepted, perSecond: accepted / run.seconds }
}

/** Flags with a certificate for this run; undefined without openssl. */
function selfSigned() {
  const [key, certificate] = [join(work, 'key.pem'), join(work, 'certificate.pem')]
  const subject = ['-subj', '/CN=127.0.0.1', '-days', '1', '-nodes']
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
  try {
    execFileSync(
      'openssl',
      ['req', '-x509', ...curve, '-keyout', key, '-out', certificate, ...subject],
      {
        stdio: 'ignore',
      },
    )
  } catch {
    console.log('no TLS rows: openssl is not installed')
    return undefined
  }
  return ['--tls-cert', certificate, '--tls-key', key]
}

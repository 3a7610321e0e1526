/**
 * Ingest and delivery together on this machine, the load generator included, for as long as asked:
 *
 *   node bench/end-to-end.mjs [--minutes 10] [--form json|packed] [--rate 160000] [--connections 64]
 *
 * So many events a second (without `--rate` a closed loop: all that is taken) for the whole time, segments
 * deleted as soon as they are delivered, then all of it in the lake and the account closed. Printed every ten seconds and at the end: events a second, CPU
 * microseconds an event of all processes, resident memory (of the first and of the last third: flat or
 * growing), and how far delivery lies behind, in segments of 64 MiB. After that, a fixed rate of half of
 * what was reached, for the latency of an answer: `--half-seconds 60`.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeBodies, makePackedBodies } from './support/events.mjs'
import { buildRequests, runLoad } from './support/load.mjs'
import { cpuSeconds, machineLine } from './support/machine.mjs'
import { bearerToken, startMillrace } from './support/servers.mjs'

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    form: { type: 'string', default: 'json' },
    rate: { type: 'string' },
    connections: { type: 'string', default: '64' },
    'half-seconds': { type: 'string', default: '60' },
  },
})
const SAMPLE_MS = 10_000
const SEGMENT_BYTES = 64 * 1_048_576
const isPacked = flags.form === 'packed'
const eventsPerBatch = isPacked ? 200 : 25
const bodies = isPacked ? makePackedBodies(100, 200) : makeBodies(400, 25)

console.log(machineLine())
const work = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
const server = await startMillrace({ work, flags: ['--log-keep-hours', '0'] })
const samples = []
const startedMs = performance.now()
let accepted = 0
/** CPU of processes that have ended meanwhile is lost; delivery lives as long as it has work. */
const cpu = new Map()
const sampler = setInterval(sample, SAMPLE_MS)

const run = await runLoad(buildRequests(bodies, server), {
  port: server.port,
  connections: Number(flags.connections),
  seconds: Number(flags.minutes) * 60,
  ...(flags.rate !== undefined && { perSecond: Number(flags.rate) / eventsPerBatch }),
  onAnswer: (status) => {
    if (status === 202) accepted += eventsPerBatch
  },
})
clearInterval(sampler)
await sample()
const perSecond = accepted / run.seconds
const serverBusy = cpu.get(server.pid) ?? 0
const deliveryBusy = [...cpu.values()].reduce((sum, each) => sum + each, 0) - serverBusy
const third = Math.max(1, Math.floor(samples.length / 3))
const peak = (some) => Math.round(Math.max(...some.map(({ rss }) => rss)))
console.log(
  `\n${flags.form}: ${Math.round(perSecond / 1000)} k events/s for ${(run.seconds / 60).toFixed(1)} min, ` +
    `CPU ${((serverBusy * 1e6) / accepted).toFixed(2)} µs per accepted event in the server, ` +
    `${((deliveryBusy * 1e6) / (await ledger()).delivered).toFixed(2)} µs per delivered one in delivery, ` +
    `RSS ${peak(samples.slice(0, third))} MB in the first third, ${peak(samples.slice(-third))} MB in the last, ` +
    `at most ${Math.max(...samples.map(({ behind }) => behind)).toFixed(1)} segments of it not in the lake (a flush gathers one), ` +
    `log at most ${Math.round(Math.max(...samples.map(({ logBytes }) => logBytes)) / 1e6)} MB, ` +
    `p50 ${run.p50.toFixed(1)} ms, p99 ${run.p99.toFixed(1)} ms, answers ${JSON.stringify([...run.statuses])}`,
)

await printAccount()
const half = await runLoad(buildRequests(bodies, server), {
  port: server.port,
  connections: Number(flags.connections),
  seconds: Number(flags['half-seconds']),
  perSecond: perSecond / 2 / eventsPerBatch,
})
console.log(
  `at half of it (${Math.round(perSecond / 2000)} k events/s, fixed rate): p50 ${half.p50.toFixed(1)} ms, ` +
    `p99 ${half.p99.toFixed(1)} ms, worst ${half.max.toFixed(0)} ms, answers ${JSON.stringify([...half.statuses])}`,
)
await server.stop()
rmSync(work, { recursive: true, force: true })
console.log(machineLine())

/** What the account says a while after the load: everything accepted is there or waits. */
async function printAccount() {
  const account = await ledger()
  const isEqual = account.accepted === accepted
  console.log(
    `acknowledged ${accepted}, account ${account.accepted} (${isEqual ? 'equal' : 'NOT EQUAL'}): ` +
      `${account.delivered} delivered, ${account.pending} pending`,
  )
}

async function ledger() {
  const { clientId, clientSecret } = server.credentials
  const token = await bearerToken(server.url, clientId, clientSecret)
  const headers = { Authorization: `Bearer ${token}` }
  return (await fetch(`${server.url}/v1/ledger`, { headers })).json()
}

async function sample() {
  const pids = [server.pid, ...childrenOf(server.pid)]
  for (const pid of pids) {
    try {
      cpu.set(pid, cpuSeconds(pid))
    } catch {}
  }
  const rss = pids.reduce((sum, pid) => sum + residentMb(pid), 0)
  const log = readdirSync(join(server.data, 'log')).filter((name) => name.endsWith('.ndjson'))
  const behind = (await pendingBytes()) / SEGMENT_BYTES
  const seconds = (performance.now() - startedMs) / 1000
  const logBytes = log.length * SEGMENT_BYTES
  samples.push({ rss, behind, logBytes })
  console.log(
    `${seconds.toFixed(0).padStart(5)} s  ${Math.round(accepted / seconds / 1000)} k events/s  ` +
      `RSS ${Math.round(rss)} MB  ${behind.toFixed(2)} segments behind, ${log.length} on disk`,
  )
}

async function pendingBytes() {
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  return Number(/^millrace_delivery_pending_bytes\S* (\S+)$/m.exec(metrics)?.[1] ?? Number.NaN)
}

function childrenOf(pid) {
  const found = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const fields = readFileSync(`/proc/${name}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')
      if (Number(fields[1]) === pid) found.push(Number(name), ...childrenOf(Number(name)))
    } catch {}
  }
  return found
}

function residentMb(pid) {
  try {
    return (
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
    )
  } catch {
    return 0
  }
}

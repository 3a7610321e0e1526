/**
 * Kills the server's processes under load, again and again, and compares what was acknowledged with what
 * is there.
 *
 *   node bench/kill.mjs [--kills 200] [--connections 32] [--pause-ms 40] [--minutes 20] [--log-gib 0]
 *
 * In turn the server, delivery and a question's process die; see test/support/crash-load.mjs. Segments
 * and deliveries are a mebibyte, so that kills also meet sealing, delivery and commits to the lake.
 * --log-gib first fills the log: ready after a kill is then to be quick as well. Ends with 1 if a
 * promise is broken. SIGKILL does not empty the page cache: this is the death of the process, not of the
 * machine, which is bench/power.mjs.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { FILLER_EVENTS } from '../test/support/account.mjs'
import { campaignHolds, crashUnderLoad } from '../test/support/crash-load.mjs'
import { Producers, pause } from '../test/support/producers.mjs'
import { readCredentials } from '../test/support/server.mjs'
import { machineLine } from './support/machine.mjs'

const { values: flags } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    connections: { type: 'string', default: '32' },
    'pause-ms': { type: 'string', default: '40' },
    minutes: { type: 'string', default: '20' },
    'log-gib': { type: 'string', default: '0' },
  },
})
const BYTES_PER_EVENT = 430
const folder = mkdtempSync(join(tmpdir(), 'millrace-kill-'))
console.log(machineLine())
const startedMs = performance.now()

async function prefill({ url, data }, account) {
  const events = (Number(flags['log-gib']) * 2 ** 30) / BYTES_PER_EVENT
  if (events === 0) return
  const { writeKey } = readCredentials(data)
  const load = { connections: 8, events: FILLER_EVENTS - 1, firstProducer: 1_001 }
  const producers = new Producers(account, load)
  producers.aim({ url, writeKey })
  while (account.acknowledgedEvents < events) {
    await pause(1_000)
    console.log(`  ${account.acknowledgedEvents} events are in the log`)
  }
  await producers.stop()
}

console.log('kill  of        events acknowledged  ready ms')
const report = await crashUnderLoad({
  data: join(folder, 'data'),
  accountPath: join(folder, 'account.ndjson'),
  kills: Number(flags.kills),
  connections: Number(flags.connections),
  pauseMs: Number(flags['pause-ms']),
  flags: ['--segment-mib', Number(flags['log-gib']) > 0 ? '64' : '1', '--flush-mib', '1'],
  endMs: startedMs + Number(flags.minutes) * 60_000,
  prefill,
  onKill: ({ kill, victim, events, readyMs }) => {
    const cells = [String(kill).padStart(4), victim.padEnd(8), String(events).padStart(19)]
    console.log([...cells, readyMs.toFixed(0).padStart(8)].join('  '))
  },
})
console.log(machineLine())
const seconds = Math.round((performance.now() - startedMs) / 1000)
console.log(
  JSON.stringify({ ...report, slowestReadyMs: Math.round(report.slowestReadyMs), seconds }),
)
if (campaignHolds(report)) rmSync(folder, { recursive: true })
else console.error(`violated; the folder is kept: ${folder}`)
process.exitCode = campaignHolds(report) ? 0 : 1

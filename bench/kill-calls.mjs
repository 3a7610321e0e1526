/**
 * Kills the server, and the delivery process, at every one of their durable system calls in turn.
 *
 *   node bench/kill-calls.mjs [--minutes 30] [--of server,server-again,delivery,delivery-again]
 *                             [--fault signal=KILL] [--places 0]
 *
 * Each life is run once to count its calls, then once for each of them with the fault there
 * (`error=EIO` and `error=ENOSPC` are faults as well; --places takes a sample), each time followed by a
 * life without faults and a comparison with what was acknowledged. Needs strace; ends with 1 if a promise
 * is broken.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { deliveryLives, placesOf, serverLives } from '../test/support/every-call.mjs'
import { stopAll } from '../test/support/server.mjs'
import { straceWorks } from '../test/support/strace.mjs'
import { machineLine } from './support/machine.mjs'

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    of: { type: 'string', default: 'server,server-again,delivery,delivery-again' },
    fault: { type: 'string', default: 'signal=KILL' },
    places: { type: 'string', default: '0' },
  },
})
const LIVES = {
  server: (folder) => serverLives(folder),
  'server-again': (folder) => serverLives(folder, false),
  delivery: (folder) => deliveryLives(folder),
  'delivery-again': (folder) => deliveryLives(folder, { isFirst: false }),
}
if (!straceWorks()) {
  console.error('strace is not here, or may not trace: nothing was tried.')
  process.exit(2)
}
console.log(machineLine())
const startedMs = performance.now()
const endMs = startedMs + Number(flags.minutes) * 60_000
const report = { fault: flags.fault, places: 0, tried: 0, violated: 0, faultless: 0 }
for (const name of flags.of.split(',')) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-calls-'))
  const lives = await LIVES[name](folder)
  const calls = await lives.count()
  const places = placesOf(calls, Number(flags.places) || undefined)
  report.places += places.length
  console.log(`${name}: ${[...calls].map(([call, { length }]) => `${length} ${call}`).join(', ')}`)
  for (const { call, when } of places) {
    if (performance.now() > endMs) break
    report.tried++
    const place = `${name} ${call} ${when}`
    try {
      const { outcome, holds, found } = await lives.run(`${call}:${flags.fault}:when=${when}`)
      // A place that this life did not reach: calls of several threads do not always come in one order.
      if (/^(?:delivered|0 of \d+ without a 202, ended with 0)$/.test(outcome)) report.faultless++
      console.log(`${place}: ${outcome}`)
      if (holds) continue
      console.log(`VIOLATED ${place}: ${JSON.stringify(found)}`)
    } catch (error) {
      console.log(`VIOLATED ${place}: ${error.message}`)
      await stopAll()
    }
    report.violated++
  }
  rmSync(folder, { recursive: true, force: true })
}
console.log(
  JSON.stringify({ ...report, seconds: Math.round((performance.now() - startedMs) / 1000) }),
)
process.exitCode = report.violated === 0 ? 0 : 1

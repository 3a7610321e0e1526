/**
 * Flips single bits of the log and of the lake, and counts what is then said of them.
 *
 *   node bench/flips.mjs [--flips 10000] [--minutes 30] [--seed 1] [--of log,lake]
 *
 * Ends with 1 if a flip in the log is served or leaves a record out in silence, or a reader dies.
 */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { BitFlips } from '../test/support/bit-flips.mjs'
import { seeded } from '../test/support/seeded.mjs'
import { machineLine } from './support/machine.mjs'

const { values: flags } = parseArgs({
  options: {
    flips: { type: 'string', default: '10000' },
    minutes: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
    of: { type: 'string', default: 'log,lake' },
  },
})
console.log(machineLine())
const startedMs = performance.now()
const stores = flags.of.split(',')
const flips = new BitFlips(mkdtempSync(join(tmpdir(), 'millrace-flips-')))
const random = seeded(Number(flags.seed))
const counts = {}
try {
  await flips.prepare()
  for (let flip = 0; flip < Number(flags.flips); flip++) {
    if (performance.now() - startedMs > Number(flags.minutes) * 60_000) break
    const store = stores[flip % stores.length]
    const { outcome, place, why } =
      store === 'log' ? await flips.flipLog(random) : await flips.flipLake(random)
    counts[`${store} ${outcome}`] = (counts[`${store} ${outcome}`] ?? 0) + 1
    if (outcome === 'wrong' || outcome === 'died') console.log(`${outcome}: ${place}: ${why}`)
    if (flip % 500 === 499) console.log(`  ${flip + 1} flips: ${JSON.stringify(counts)}`)
  }
} finally {
  flips.close()
}
const seconds = Math.round((performance.now() - startedMs) / 1000)
console.log(JSON.stringify({ ...counts, seed: flags.seed, seconds }))
const bad = stores
  .flatMap((store) => [`${store} wrong`, `${store} died`])
  .filter((name) => counts[name] > 0)
process.exitCode = bad.length === 0 ? 0 : 1

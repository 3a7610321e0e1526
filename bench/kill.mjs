/**
 * Kills the server under load, again and again, and counts what was acknowledged.
 *
 *   node bench/kill.mjs [--kills 50] [--connections 32]
 *
 * Segments and deliveries are a mebibyte, so that kills also meet sealing, delivery and commits to the
 * lake. Ends with 1 if an acknowledged batch is lost, or any is there twice, in part, or unasked.
 * SIGKILL does not empty the page cache: this is the death of the process, not of the machine.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { crashUnderLoad, holds } from '../test/support/crash-load.mjs'
import { machineLine } from './support/machine.mjs'

const { values: flags } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    connections: { type: 'string', default: '32' },
  },
})
const folder = mkdtempSync(join(tmpdir(), 'millrace-kill-'))
console.log(machineLine())
console.log('kill  acknowledged batches  ready ms')
const report = await crashUnderLoad({
  data: join(folder, 'data'),
  kills: Number(flags.kills),
  connections: Number(flags.connections),
  flags: ['--segment-mib', '1', '--flush-mib', '1'],
  onKill: (kill, acknowledged, readyMs) =>
    console.log(
      `${String(kill).padStart(4)}  ${String(acknowledged).padStart(20)}  ${readyMs.toFixed(0).padStart(8)}`,
    ),
})
console.log()
for (const [name, value] of Object.entries(report))
  console.log(`${name.padEnd(16)} ${String(Math.round(value)).padStart(9)}`)
console.log(machineLine())
if (holds(report)) rmSync(folder, { recursive: true })
else console.error(`violated; the folder is kept: ${folder}`)
process.exitCode = holds(report) ? 0 : 1

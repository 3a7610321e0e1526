/**
 * Cuts the power under a loaded server, on a real ext4, and compares what was acknowledged with what is
 * there after the next start.
 *
 *   node bench/power.mjs [--cuts 100] [--seconds 20] [--minutes 15] [--seed 1] [--mutant fdatasync]
 *
 * The data folder lies on a disk that records every write and flush (support/recording-disk.mjs); the
 * account lies elsewhere, each acknowledgement with its moment in that record. Then the disk is made
 * again as a cut at a random moment leaves it: what was flushed is there, of the rest a random part, torn
 * at 4 KiB. Every tenth cut is compared by pyarrow as well, after everything is delivered.
 *
 * --mutant answers a call in the kernel's place without doing it, and must be found: `fdatasync` anywhere,
 * `log` only that of the log's segments. Needs root, nbdkit with Python, nbdfuse, ext4. Ends with 1 if a promise is broken, or a mutant is
 * not found.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Account } from '../test/support/account.mjs'
import { compareByParquet, compareBySql, deliverAll, holds } from '../test/support/compare.mjs'
import { Producers, pause } from '../test/support/producers.mjs'
import { seeded } from '../test/support/seeded.mjs'
import { readCredentials, startServer, stopAll, stopped } from '../test/support/server.mjs'
import { underStrace } from '../test/support/strace.mjs'
import { UNLIMITED } from '../test/support/unlimited.mjs'
import { machineLine } from './support/machine.mjs'
import { RecordingDisk, Replay, whyNoDisk } from './support/recording-disk.mjs'

const DISK_MIB = 384
const READY_MS_MAX = 5_000
/** So that the record of a life stays some hundred megabytes. */
const PAUSE_MS = 100
const FLAGS = ['--segment-mib', '1', '--flush-mib', '1', ...UNLIMITED]
const PARQUET_EVERY = 10
/** Of one life; one mebibyte each. */
const SEGMENTS_MAX = 200

const { values: flags } = parseArgs({
  options: {
    cuts: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '20' },
    minutes: { type: 'string', default: '15' },
    seed: { type: 'string', default: '1' },
    mutant: { type: 'string' },
  },
})
const why = whyNoDisk()
if (why !== undefined) {
  console.error(`${why}: nothing was tried.`)
  process.exit(2)
}
console.log(machineLine())
const startedMs = performance.now()
const folder = mkdtempSync(join(tmpdir(), 'millrace-power-'))
const disk = new RecordingDisk(folder, DISK_MIB)
const accountPath = join(folder, 'account.ndjson')
const random = seeded(Number(flags.seed))
const report = {
  cuts: 0,
  acknowledgedEvents: 0,
  broken: 0,
  late: 0,
  notMounted: 0,
  slowestReadyMs: 0,
}
try {
  const { account, from } = await recordLife()
  report.acknowledgedEvents = account.acknowledgedEvents
  await tryCuts(account, from)
} finally {
  await stopAll()
  await disk.unmount()
  rmSync(folder, { recursive: true, force: true })
}
const seconds = Math.round((performance.now() - startedMs) / 1000)
console.log(JSON.stringify({ ...report, mutant: flags.mutant, seed: flags.seed, seconds }))
const found = report.broken + (flags.mutant === undefined ? report.late : 0) > 0
process.exitCode = found === (flags.mutant !== undefined) ? 0 : 1

/** One life under load; the account says when each batch was acknowledged. */
async function recordLife() {
  await disk.mount()
  const from = disk.position()
  const data = join(disk.mounted, 'data')
  const account = new Account(accountPath, () => disk.position())
  const server = await startServer(data, { flags: FLAGS, under: mutant(data) })
  const producers = new Producers(account, { connections: 32, pauseMs: PAUSE_MS })
  producers.aim({ url: server.url, writeKey: readCredentials(data).writeKey })
  for (let second = 0; second < Number(flags.seconds); second++) {
    await pause(1_000)
    const mib = Math.round(disk.position() / 2 ** 20)
    console.log(`  ${account.acknowledgedEvents} events acknowledged, ${mib} MiB recorded`)
  }
  await producers.stop()
  await stopped(server, 'SIGKILL')
  account.close()
  await disk.unmount()
  return { account, from }
}

function mutant(data) {
  if (flags.mutant === undefined) return []
  if (flags.mutant !== 'log') return underStrace([`${flags.mutant}:retval=0`])
  const segments = Array.from({ length: SEGMENTS_MAX }, (_, segment) =>
    join(data, 'log', `${String(segment).padStart(16, '0')}.ndjson`),
  )
  return underStrace(['fdatasync:retval=0'], { paths: segments })
}

async function tryCuts(account, from) {
  const moments = Replay.moments(disk.record, from)
  const chosen = Array.from({ length: Number(flags.cuts) }, () => pick(moments))
  const replay = new Replay(disk.record, DISK_MIB)
  const endMs = startedMs + Number(flags.minutes) * 60_000
  console.log(
    `${moments.length} moments at which power can fail\ncut  unflushed  acknowledged  ready ms`,
  )
  for (const moment of chosen.sort((a, b) => a - b)) {
    if (performance.now() > endMs) break
    report.cuts++
    const image = join(folder, 'cut')
    const unflushed = replay.cut(moment, pick([0, 0.5, 0.9, 1]), random, image)
    const outcome = await tryCut(image, account, moment)
    const cells = [report.cuts, unflushed, outcome.acknowledged, outcome.readyMs ?? '–']
    console.log(`${cells.map((cell) => String(cell).padStart(9)).join('')}${outcome.broken ?? ''}`)
    if (outcome.broken !== undefined) report.broken++
  }
  replay.close()
}

async function tryCut(image, whole, moment) {
  const mounted = join(folder, 'cut-mounted')
  mkdirSync(mounted, { recursive: true })
  try {
    execFileSync('mount', ['-o', 'loop', image, mounted], { stdio: 'ignore' })
  } catch {
    report.notMounted++
    return { acknowledged: '?', broken: '  ext4 does not mount it' }
  }
  const path = join(folder, 'cut.ndjson')
  copyFileSync(accountPath, path)
  const account = new Account(path)
  for (const [id, batch] of whole.sent) account.sent.set(id, batch)
  for (const [id, at] of whole.acknowledgedAt) if (at <= moment) account.acknowledged.add(id)
  const { size: acknowledged } = account.acknowledged
  try {
    const data = join(mounted, 'data')
    const { readyMs, broken } = await judge(data, account, moment)
    return { acknowledged, readyMs: Math.round(readyMs), broken }
  } catch (error) {
    return { acknowledged, broken: `  ${String(error.message).split('\n').slice(0, 3).join(' ')}` }
  } finally {
    account.close()
    await stopAll()
    execFileSync('umount', [mounted])
  }
}

async function judge(data, account, moment) {
  const server = await startServer(data, { flags: FLAGS })
  const { readyMs } = server
  report.slowestReadyMs = Math.max(report.slowestReadyMs, Math.round(readyMs))
  const found = [await compareBySql(server, account)]
  if (report.cuts % PARQUET_EVERY === 0) {
    const ledger = await deliverAll(server, account)
    await stopped(server)
    found.push(await compareByParquet(data, account.path, { until: moment, ledger }))
  } else await stopped(server)
  const wrong = found.filter((each) => !holds(each))
  if (readyMs > READY_MS_MAX) report.late++
  return { readyMs, broken: wrong.length === 0 ? undefined : `  ${JSON.stringify(wrong)}` }
}

function pick(list) {
  return list[Math.floor(random() * list.length)]
}

/**
 * Real recordings through the whole pipeline: 2.25 million mouse events of ten people.
 *
 *   node bench/balabit/run.mjs train.parquet
 *
 * Converts the file (`convert.py`; needs Python with pyarrow), imports it through the HTTP door, and compares
 * the counts per user and session in SQL with those in the file. Then the same into a second folder, with
 * the server killed by SIGKILL in the middle, restarted, and the import run again. Exit code 1 when a
 * single count differs.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readCredentials, sqlRows, startServer, stopped } from '../../test/support/server.mjs'
import { machineLine } from '../support/machine.mjs'

const MILLRACE = fileURLToPath(new URL('../../packages/pipeline/bin/millrace.js', import.meta.url))
const source = process.argv[2]
if (source === undefined) {
  console.error('usage: node bench/balabit/run.mjs train.parquet')
  process.exit(2)
}
const work = mkdtempSync(join(tmpdir(), 'millrace-balabit-'))
const events = join(work, 'events.ndjson')
console.log(machineLine())
console.log(
  execFileSync('python3', [fileURLToPath(new URL('convert.py', import.meta.url)), source, events])
    .toString()
    .trim(),
)
const expected = JSON.parse(
  execFileSync('python3', [
    '-c',
    `
import json, sys, pyarrow.parquet as parquet
counts = parquet.read_table(sys.argv[1]).group_by(["user", "s"]).aggregate([([], "count_all")]).to_pylist()
print(json.dumps(sorted([row["user"], row["s"], row["count_all"]] for row in counts)))`,
    source,
  ]).toString(),
)

const failures = [await plain(), await killed()].filter((good) => !good).length
rmSync(work, { recursive: true, force: true })
process.exit(failures === 0 ? 0 : 1)

async function plain() {
  const data = join(work, 'plain')
  const server = await startServer(data)
  const startedMs = performance.now()
  await importInto(data)
  console.log(
    `import: ${((performance.now() - startedMs) / 1000).toFixed(1)} s, load and conversion to Parquet on the same cores`,
  )
  const good = await compare('import', server.url, data)
  await stopped(server, 'SIGTERM')
  return good
}

async function killed() {
  const data = join(work, 'killed')
  let server = await startServer(data)
  const port = new URL(server.url).port
  const importing = importInto(data)
  // In the middle: when half of the events are acknowledged.
  const total = expected.reduce((sum, [, , count]) => sum + count, 0)
  for (;;) {
    const [[count]] = await sqlRows(
      server.url,
      readCredentials(data),
      'select count(*) from events',
    )
    if (count > total / 2) break
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  await stopped(server, 'SIGKILL')
  console.log('killed with SIGKILL in the middle of the import')
  server = await startServer(data, { flags: ['--port', port] })
  console.log(`ready again after ${Math.round(server.readyMs)} ms`)
  await importing
  await importInto(data)
  const good = await compare('import with a kill, and once more', server.url, data)
  await stopped(server, 'SIGTERM')
  return good
}

function importInto(data) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MILLRACE, 'import', events, '--data', data], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', (chunk) => {
      said += chunk
    })
    child.once('exit', (code) => {
      console.log(said.trim().split('\n').at(-1))
      if (code === 0) resolve()
      else reject(new Error(`the import ended with ${code}`))
    })
  })
}

async function compare(name, url, data) {
  const found = await sqlRows(
    url,
    readCredentials(data),
    'select visitor_id, client_session_id, count(*), count(distinct seq) from events group by all order by all',
  )
  const counts = found
    .map(([user, session, count]) => [user, session, count])
    .sort((left, right) => (left.join() < right.join() ? -1 : 1))
  const same =
    JSON.stringify(counts) ===
    JSON.stringify([...expected].sort((left, right) => (left.join() < right.join() ? -1 : 1)))
  const doubled = found.filter(([, , count, distinct]) => count !== distinct).length
  console.log(
    `${name}: ${found.reduce((sum, [, , count]) => sum + count, 0)} events in ${found.length} sessions; counts per user and session ${same ? 'equal' : 'DIFFER'}; sessions with doubled events: ${doubled}`,
  )
  return same && doubled === 0
}

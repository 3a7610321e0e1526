/**
 * After a campaign: what the senders have on their account, against what is there, read in two ways.
 *
 * By SQL, which is our own reader over lake and log's tail; and, once everything is delivered, by
 * check-lake.py, which shares no code with us and reads the Parquet files.
 */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { batchOf, bodyOf, FILLER, FILLER_EVENTS } from './account.mjs'
import { pause, post } from './producers.mjs'
import { bearerToken, readCredentials, send, sqlRows } from './server.mjs'

const CHECKER = fileURLToPath(new URL('check-lake.py', import.meta.url))
const ROWS_PER_QUERY = 10_000
const CHECK_MS_MAX = 600_000
const DELIVERY_LOOK_MS = 200
/** What waits is pushed again after this long: a batch may have come after the plan of a job. */
const PUSH_EVERY_MS = 5_000

/** Whether python3 with pyarrow and fastavro is there. */
export function canCheck() {
  return new Promise((resolve) => {
    execFile('python3', ['-c', 'import fastavro, pyarrow.parquet'], (error) => resolve(!error))
  })
}

/**
 * By batch and index, in SQL.
 * @param {import('./server.mjs').Server} server
 * @param {import('./account.mjs').Account} account
 */
export async function compareBySql(server, { sent, acknowledged }) {
  const found = await countByBatch(server)
  const report = { lost: 0, torn: 0, doubled: 0, invented: 0, examples: [] }
  const add = (promise, id) => {
    report[promise]++
    if (report.examples.length < 5) report.examples.push(`${promise}: ${id} by SQL`)
  }
  for (const id of acknowledged) if (!found.has(id)) add('lost', id)
  for (const [id, { rows, indexes }] of found) {
    const batch = sent.get(id)
    if (batch === undefined) add('invented', id)
    else if (rows > indexes) add('doubled', id)
    else if (indexes < batch.count) add('torn', id)
    else if (indexes > batch.count) add('invented', id)
  }
  return report
}

async function countByBatch({ url, data }) {
  const client = readCredentials(data)
  const found = new Map()
  for (let after = ''; ; ) {
    const rows = await sqlRows(
      url,
      client,
      `select batch_id, count(*), count(distinct event_index) from events
       where batch_id > '${after}' group by 1 order by 1 limit ${ROWS_PER_QUERY}`,
    )
    for (const [id, count, indexes] of rows) found.set(id, { rows: count, indexes })
    if (rows.length < ROWS_PER_QUERY) return found
    after = rows.at(-1)[0]
  }
}

/** @param {import('./server.mjs').Server} server */
export async function ledgerOf({ url, data }) {
  const token = await bearerToken(url, readCredentials(data))
  const headers = { Authorization: `Bearer ${token}` }
  return (await send(`${url}/v1/ledger`, { method: 'GET', headers })).body
}

/**
 * Brings everything into the lake as a user would: by sending more, until it is worth a commit. The
 * server must have been started with `--flush-mib 1`. Gives the ledger; rejects after `withinMs`.
 * @param {import('./server.mjs').Server} server
 * @param {import('./account.mjs').Account} account
 */
export async function deliverAll(server, account, withinMs = 120_000) {
  const { writeKey } = readCredentials(server.data)
  let sequence = [...account.sent.values()].filter(({ producer }) => producer === FILLER).length
  const endMs = performance.now() + withinMs
  for (let pushedMs = 0; ; ) {
    const ledger = await ledgerOf(server)
    if (ledger.pending === 0) return ledger
    if (performance.now() > endMs) throw new Error(`${ledger.pending} events are not delivered`)
    if (performance.now() - pushedMs > PUSH_EVERY_MS || pushedMs === 0) {
      for (let bytes = 0; bytes < 1_200_000; ) {
        const batch = batchOf(FILLER, sequence, FILLER_EVENTS - 1)
        const body = bodyOf(batch)
        account.send(batch)
        const { status } = await post({ url: server.url, writeKey }, undefined, body)
        if (performance.now() > endMs) throw new Error(`the filler is answered ${status}`)
        if (status === 202) {
          account.acknowledge(batch)
          sequence++
          bytes += body.length
        } else await pause(DELIVERY_LOOK_MS)
      }
      pushedMs = performance.now()
    }
    await pause(DELIVERY_LOOK_MS)
  }
}

/**
 * What check-lake.py says. The server may be stopped.
 * @param {string} data
 * @param {string} accountPath
 * @param {{ until?: number, ledger?: object }} [options]
 */
export function compareByParquet(data, accountPath, { until, ledger } = {}) {
  const { bucket } = JSON.parse(readFileSync(join(data, 'millrace.json'), 'utf8'))
  const { tenantId } = readCredentials(data)
  const flags = [
    ...(until === undefined ? [] : ['--until', String(until)]),
    ...(ledger === undefined ? [] : ['--ledger', JSON.stringify(ledger)]),
  ]
  const line = [CHECKER, accountPath, join(data, 'lake'), bucket, tenantId, ...flags]
  return new Promise((resolve, reject) => {
    execFile('python3', line, { timeout: CHECK_MS_MAX }, (_error, stdout, stderr) => {
      // It ends with 1 when a promise is broken, and says which.
      if (stdout === '') reject(new Error(stderr))
      else resolve(JSON.parse(stdout))
    })
  })
}

/** True when every promise held. */
export function holds({ lost, torn, doubled, invented, confused = 0, outOfAccount = 0 }) {
  return lost + torn + doubled + invented + confused + outOfAccount === 0
}

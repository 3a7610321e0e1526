/**
 * The delivery process alone, with a job made from a data folder that no server holds: so that faults hit
 * it and nothing else, each of its calls can be counted, and two can be set on one job.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { Account, batchOf, bodyOf } from './account.mjs'
import { BUILT, bucketOf, openLake, openLog, openTenants } from './built.mjs'
import { post } from './producers.mjs'
import { readCredentials, startServer, stopped } from './server.mjs'
import { ONE_THREAD } from './strace.mjs'

const JOB_MS_MAX = 30_000
const PLAN_BYTES = 64 * 1_048_576
const TENANT_NO = 1

/**
 * A data folder with acknowledged batches of all kinds, of which nothing is delivered.
 * @param {string} data
 * @param {string} accountPath
 * @param {{ batches?: number, firstSequence?: number }} [options]
 */
export async function fillFolder(data, accountPath, { batches = 24, firstSequence = 0 } = {}) {
  const account = new Account(accountPath)
  const server = await startServer(data)
  const { writeKey } = readCredentials(data)
  for (let at = 0; at < batches; at++) {
    const batch = batchOf(1, firstSequence + at)
    account.send(batch)
    const { status } = await post({ url: server.url, writeKey }, undefined, bodyOf(batch))
    if (status !== 202) throw new Error(`batch ${batch.id} is answered ${status}`)
    account.acknowledge(batch)
  }
  await stopped(server)
  return account
}

/** The job that a server of this folder would give; undefined when everything is delivered. */
export async function jobOf(data) {
  const { lake, tenantId } = await openLake(data)
  const store = await openTenants(data)
  const log = await openLog(join(data, 'log'))
  try {
    const plan = log.plan(TENANT_NO, await lake.offset(tenantId, log.logId), PLAN_BYTES)
    return plan === undefined ? undefined : { tenantId, plan, sources: store.sources(TENANT_NO) }
  } finally {
    await log.close()
    store.close()
  }
}

/**
 * A delivery process on a folder. `done` is its answer, or `{ ended }` when it dies without one.
 * @param {string} data
 * @param {object} job
 * @param {readonly string[]} [under] Words of strace.mjs before the program.
 */
export function deliver(data, job, under = []) {
  const worker = new URL('entrypoints/delivery-worker.js', BUILT).pathname
  const [program, ...line] = [...under, process.execPath, worker, data, bucketOf(data)]
  const child = spawn(program, line, {
    env: { PATH: process.env.PATH, NODE_NO_WARNINGS: '1', ...ONE_THREAD },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let output = ''
  child.stderr.on('data', (part) => {
    output += part
  })
  const deadline = setTimeout(() => child.kill('SIGKILL'), JOB_MS_MAX)
  const done = new Promise((resolve) => {
    child.once('message', resolve)
    child.once('close', (code, signal) => resolve({ ended: signal ?? code, output }))
  })
  const closed = new Promise((resolve) => child.once('close', resolve))
  if (job !== undefined) child.send(job, () => {}) // one that dies at once is told by `close`
  const end = async () => {
    const answer = await done
    clearTimeout(deadline)
    child.kill('SIGKILL')
    await closed
    return answer
  }
  return { pid: child.pid, done, end }
}

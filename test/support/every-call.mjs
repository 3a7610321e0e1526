/**
 * One fault at one system call of a whole short life, then a life without faults, then the comparison.
 *
 * Two lives: the server's (first start, appends, a new segment, its sidecar, stop) and delivery's (three
 * tables made and committed). Every durable call of each has its number; a run with a fault at each number
 * leaves no place between two of them untried.
 */
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Account, batchOf, bodyOf } from './account.mjs'
import { compareByParquet, compareBySql, holds } from './compare.mjs'
import { deliver, fillFolder, jobOf } from './delivery-process.mjs'
import { post } from './producers.mjs'
import { readCredentials, startServer, stopped } from './server.mjs'
import { callsIn, strace, underStrace } from './strace.mjs'

/** Two hundred kilobytes each: the sixth begins a new segment. */
const LIFE_BATCHES = 8
const LIFE_EVENTS = 498
const SMALL = ['--segment-mib', '1']

/**
 * @typedef {object} Life
 * @property {() => Promise<Map<string, number[]>>} count The numbers of each durable call.
 * @property {(injection: string, paths?: readonly string[]) => Promise<LifeReport>} run `paths`: of the
 *   data folder; calls on these alone.
 *
 * @typedef {object} LifeReport
 * @property {string} outcome What the life with the fault came to.
 * @property {boolean} holds
 * @property {object} found
 */

/**
 * The server's life. `isFirst` false: on a folder that has lived, which is copied for each life.
 * @param {string} folder An empty one of its own.
 * @returns {Promise<Life>}
 */
export async function serverLives(folder, isFirst = true) {
  const origin = join(folder, 'origin')
  const data = join(folder, 'data')
  const accountPath = join(folder, 'account.ndjson')
  mkdirSync(origin, { recursive: true })
  if (!isFirst) {
    const server = await startServer(origin, { flags: SMALL })
    await stopped(server)
  }
  const life = async (under) => {
    rmSync(data, { recursive: true, force: true })
    rmSync(accountPath, { force: true })
    cpSync(origin, data, { recursive: true })
    const account = new Account(accountPath)
    const outcome = await liveAndStop(data, account, under)
    account.close()
    return { account, outcome }
  }
  return {
    count: async () => {
      const output = join(folder, 'calls.txt')
      await life(underStrace([], { output }))
      return callsIn(output, data)
    },
    run: async (injection, paths = []) => {
      const inside = paths.map((path) => join(data, path))
      const { account, outcome } = await life(underStrace([injection], { paths: inside }))
      const server = await startServer(data, { flags: SMALL })
      const found = await compareBySql(server, account)
      await stopped(server)
      return { outcome, holds: holds(found), found }
    },
  }
}

async function liveAndStop(data, account, under) {
  let server
  try {
    server = await startServer(data, { flags: SMALL, under })
  } catch (error) {
    return `did not start: ${String(error.message).split('\n')[0]}`
  }
  const { writeKey } = readCredentials(data)
  let refused = 0
  for (let sequence = 0; sequence < LIFE_BATCHES; sequence++) {
    const batch = batchOf(1, sequence, LIFE_EVENTS)
    account.send(batch)
    const { status } = await post({ url: server.url, writeKey }, undefined, bodyOf(batch))
    if (status === 202) account.acknowledge(batch)
    else refused++
  }
  const code = await stopped(server)
  return `${refused} of ${LIFE_BATCHES} without a 202, ended with ${code ?? server.child.signalCode}`
}

/**
 * Delivery's life, on copies of one folder of which nothing is delivered.
 * @param {string} folder
 * @param {{ isFirst?: boolean }} [options] `isFirst` false: the tables are there already.
 * @returns {Promise<Life>}
 */
export async function deliveryLives(folder, { isFirst = true } = {}) {
  const origin = join(folder, 'origin')
  const data = join(folder, 'data')
  const accountPath = join(folder, 'account.ndjson')
  mkdirSync(folder, { recursive: true })
  const again = { firstSequence: isFirst ? 0 : 1_000 }
  if (!isFirst) {
    ;(await fillFolder(origin, accountPath)).close()
    await deliver(origin, await jobOf(origin)).end()
  }
  ;(await fillFolder(origin, accountPath, again)).close()
  const life = async (under) => {
    rmSync(data, { recursive: true, force: true })
    cpSync(origin, data, { recursive: true })
    return deliver(data, await jobOf(data), under).end()
  }
  return {
    count: async () => {
      const output = join(folder, 'calls.txt')
      await life(strace([], { output }))
      return callsIn(output, data)
    },
    run: async (injection, paths = []) => {
      const inside = paths.map((path) => join(data, path))
      const { result, error, ended } = await life(strace([injection], { paths: inside }))
      const outcome = result?.status ?? error?.message ?? `ended with ${ended}`
      // A second process goes on, as the server's next one would.
      const rest = await jobOf(data)
      if (rest !== undefined) await deliver(data, rest).end()
      const found = await compareByParquet(data, accountPath)
      return { outcome, holds: holds(found), found }
    },
  }
}

/**
 * `count` places of all, spread over calls and numbers; all of them when there are fewer.
 * @param {Map<string, number[]>} calls
 */
export function placesOf(calls, count = Number.POSITIVE_INFINITY) {
  const all = [...calls].flatMap(([call, numbers]) => numbers.map((when) => ({ call, when })))
  const step = Math.max(1, all.length / count)
  return all.filter((_, at) => Math.floor(at / step) > Math.floor((at - 1) / step))
}

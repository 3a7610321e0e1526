/**
 * A server under load whose processes are killed with SIGKILL in turn: the server itself, the one that
 * delivers, one that answers a question. In the end everything is delivered and compared.
 *
 * Half of the server's deaths and all of delivery's are aimed at a step of a commit to the lake, counted
 * from outside (LakeSteps), since at random moments hardly one of them would meet any.
 */
import { Account } from './account.mjs'
import { canCheck, compareByParquet, compareBySql, deliverAll, holds } from './compare.mjs'
import { childrenOf, LakeSteps } from './processes.mjs'
import { Producers, pause } from './producers.mjs'
import { bearerToken, readCredentials, sqlRows, startServer, stopped } from './server.mjs'
import { UNLIMITED } from './unlimited.mjs'

const VICTIMS = /** @type {const} */ (['server', 'delivery', 'query'])
/** The server's other deaths come so long after it listens. */
const KILL_AFTER_MS_MAX = 1_000
/** A delivery is some thirty steps: the kills fall all over it. */
const STEPS_MAX = 20
/** Without a step by then the kill comes all the same. */
const AIM_MS_MAX = 10_000
const QUESTION_EVERY_MS = 30
/** Kills to find a question's process at work, or it stays a miss. */
const QUESTION_MS_MAX = 4_000

/**
 * @typedef {object} CrashReport
 * @property {Record<'server' | 'delivery' | 'query', number>} kills
 * @property {number} aimed Kills that came right after a step of a commit.
 * @property {number} acknowledgedEvents
 * @property {number} acknowledged Batches.
 * @property {number} retries
 * @property {number} wrongAnswers Answers to SQL that miss or repeat events, and wrong acknowledgements.
 * @property {number} questions Answers to SQL that were right.
 * @property {number} slowestReadyMs Spawn to listening, the slowest.
 * @property {object} sql What our reader found.
 * @property {object | undefined} parquet What pyarrow found; undefined without it.
 */

/**
 * @param {{ data: string, accountPath: string, kills: number, connections: number, pauseMs?: number,
 *   flags: readonly string[], under?: readonly string[], endMs?: number, prefill?: (server, account) => Promise<void>,
 *   onKill?: (line: { kill: number, victim: string, events: number, readyMs: number }) => void }} options
 * @returns {Promise<CrashReport>}
 */
export async function crashUnderLoad({ flags, ...rest }) {
  const options = { ...rest, flags: [...flags, ...UNLIMITED] }
  const account = new Account(options.accountPath)
  const run = new Campaign(options, account)
  try {
    return await run.run()
  } finally {
    run.close()
    account.close()
  }
}

/** True when every promise held. */
export function campaignHolds({ sql, parquet, wrongAnswers, slowestReadyMs }, readyMsMax = 5_000) {
  const both = holds(sql) && (parquet === undefined || holds(parquet))
  return both && wrongAnswers === 0 && slowestReadyMs <= readyMsMax
}

class Campaign {
  #options
  #account
  #producers
  #steps
  #server
  #asking = false
  #report = {
    kills: { server: 0, delivery: 0, query: 0 },
    aimed: 0,
    questions: 0,
    wrongAnswers: 0,
    slowestReadyMs: 0,
  }

  constructor(options, account) {
    this.#options = options
    this.#account = account
  }

  async run() {
    const { kills, connections, pauseMs, onKill, prefill, data, endMs = Infinity } = this.#options
    await this.#start()
    await prefill?.(this.#server, this.#account)
    this.#steps = new LakeSteps(data)
    this.#producers = new Producers(this.#account, { connections, pauseMs })
    this.#aim()
    const asking = this.#ask()
    // Where the machine does too much else, it may take more until one has met a commit, and one a request.
    const isMet = () => this.#report.aimed > 0 && this.#producers.retries > 0
    const isDone = (done) => done >= (isMet() ? kills : 3 * kills)
    for (let kill = 1; !isDone(kill - 1) && performance.now() < endMs; kill++) {
      const victim = VICTIMS[kill % VICTIMS.length]
      await this.#kill(victim, Math.floor(kill / VICTIMS.length) % 2 === 0)
      const { acknowledgedEvents: events } = this.#account
      onKill?.({ kill, victim, events, readyMs: this.#server.readyMs })
    }
    await this.#producers.stop()
    this.#asking = false
    await asking
    await this.#die()
    return this.#compare()
  }

  close() {
    this.#asking = false
    this.#steps?.close()
    this.#producers?.aim(undefined)
    this.#server?.child.kill('SIGKILL')
  }

  async #start() {
    const { data, flags, under } = this.#options
    this.#server = await startServer(data, { flags, under })
    const { slowestReadyMs } = this.#report
    this.#report.slowestReadyMs = Math.max(slowestReadyMs, this.#server.readyMs)
  }

  #aim() {
    const { url, data } = this.#server
    this.#producers.aim({ url, writeKey: readCredentials(data).writeKey })
  }

  async #die() {
    this.#producers.aim(undefined)
    await stopped(this.#server, 'SIGKILL')
    await this.#start()
    this.#aim()
  }

  async #kill(victim, atRandom) {
    if (victim === 'query') return this.#killQuery()
    if (victim === 'server' && atRandom) {
      await pause(Math.random() * KILL_AFTER_MS_MAX)
    } else if (await this.#nextStep()) this.#report.aimed++
    if (victim === 'server') {
      await this.#die()
      this.#report.kills.server++
    } else if (kill(childrenOf(this.#server.child.pid, 'delivery'))) this.#report.kills.delivery++
  }

  /** True after some step of a commit, false when none came. */
  async #nextStep() {
    const steps = 1 + Math.floor(Math.random() * STEPS_MAX)
    const step = this.#steps.after(steps).then(() => true)
    return Promise.race([step, pause(AIM_MS_MAX).then(() => false)])
  }

  async #killQuery() {
    for (const endMs = performance.now() + QUESTION_MS_MAX; performance.now() < endMs; ) {
      const processes = childrenOf(this.#server.child.pid, 'query')
      await pause(Math.random() * 100)
      if (!kill(processes)) continue
      this.#report.kills.query++
      return
    }
  }

  /** Asks for batches that are acknowledged: a right answer or none. */
  async #ask() {
    this.#asking = true
    let last
    let token
    while (this.#asking) {
      const server = this.#server
      const acknowledged = [...this.#account.acknowledged].slice(-50)
      const id = acknowledged[Math.floor(Math.random() * acknowledged.length)]
      if (id === undefined) {
        await pause(QUESTION_EVERY_MS)
        continue
      }
      const sql = `select count(*), count(distinct event_index) from events where batch_id = '${id}'`
      try {
        if (last !== server) token = await bearerToken(server.url, readCredentials(server.data))
        last = server
        const [[rows, indexes]] = await sqlRows(server.url, token, sql)
        const { count } = this.#account.sent.get(id)
        if (rows === count && indexes === count) this.#report.questions++
        else {
          this.#report.wrongAnswers++
          process.stderr.write(`${id}: ${rows} rows, ${indexes} indexes of ${count}\n`)
        }
      } catch {
        // The server or the question's process was killed: no answer is no wrong one.
      }
      await pause(QUESTION_EVERY_MS)
    }
  }

  async #compare() {
    const { data, accountPath } = this.#options
    const sql = await compareBySql(this.#server, this.#account)
    const ledger = await deliverAll(this.#server, this.#account)
    await stopped(this.#server)
    const parquet = (await canCheck())
      ? await compareByParquet(data, accountPath, { ledger })
      : undefined
    const { retries, wrongAcknowledgements } = this.#producers
    const { acknowledged, acknowledgedEvents } = this.#account
    for (const text of wrongAcknowledgements.slice(0, 3)) process.stderr.write(`${text}\n`)
    return {
      ...this.#report,
      wrongAnswers: this.#report.wrongAnswers + wrongAcknowledgements.length,
      acknowledged: acknowledged.size,
      acknowledgedEvents,
      retries,
      sql,
      parquet,
    }
  }
}

function kill([pid]) {
  if (pid === undefined) return false
  try {
    process.kill(pid, 'SIGKILL')
    return true
  } catch {
    return false
  }
}

/**
 * One flipped bit in a copy of the log, or of the lake, and what is then said of it.
 *
 * Right is to serve what was written, or to say that something is wrong: an error, or a count of what is
 * damaged. Wrong is to serve other bytes, to leave a record out in silence, or to die.
 */
import { fork } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openLog } from './built.mjs'
import { deliver, fillFolder, jobOf } from './delivery-process.mjs'

const ANSWERER = fileURLToPath(new URL('lake-answer.mjs', import.meta.url))
const TENANT_NO = 1
const READ_BYTES = 1 << 20

/**
 * @typedef {'unharmed' | 'detected' | 'tail' | 'wrong' | 'died'} FlipOutcome
 *   `tail`: the log's last record, which cannot be told from one that was torn.
 * @typedef {{ outcome: FlipOutcome, place: string, why?: string }} Flip
 */

export class BitFlips {
  #folder
  #origin
  #data
  #lines
  #answer
  #child

  /** @param {string} folder An empty one. */
  constructor(folder) {
    this.#folder = folder
    this.#origin = join(folder, 'origin')
    this.#data = join(folder, 'data')
  }

  async prepare() {
    const accountPath = join(this.#folder, 'account.ndjson')
    ;(await fillFolder(this.#origin, accountPath, { batches: 40 })).close()
    await rollLog(join(this.#origin, 'log'))
    await deliver(this.#origin, await jobOf(this.#origin)).end()
    const { lines } = await readLog(join(this.#origin, 'log'))
    this.#lines = lines
    this.#answer = (await this.#ask(this.#origin)).answer
    if (this.#answer === undefined || lines.size === 0) throw new Error('there is nothing to flip')
  }

  /** @param {() => number} random @returns {Promise<Flip>} */
  async flipLog(random) {
    const place = this.#flip('log', random)
    const { lines, why } = await readLog(join(this.#data, 'log'))
    for (const [offset, line] of lines) {
      if (line !== this.#lines.get(offset))
        return { outcome: 'wrong', place, why: `offset ${offset}` }
    }
    const missing = [...this.#lines.keys()].filter((offset) => !lines.has(offset))
    if (why !== undefined) return { outcome: 'detected', place, why }
    if (missing.length === 0) return { outcome: 'unharmed', place }
    const isTail = missing.length === 1 && missing[0] === this.#lines.size - 1
    return { outcome: isTail ? 'tail' : 'wrong', place, why: `without ${missing}` }
  }

  /** @param {() => number} random @returns {Promise<Flip>} */
  async flipLake(random) {
    const place = this.#flip('lake', random)
    const { answer, error, died } = await this.#ask(this.#data)
    if (died !== undefined) return { outcome: 'died', place, why: died }
    if (error !== undefined) return { outcome: 'detected', place, why: error }
    return { outcome: answer === this.#answer ? 'unharmed' : 'wrong', place, why: answer }
  }

  close() {
    this.#child?.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** One bit of one file, each byte of the folder as likely as the next. */
  #flip(store, random) {
    rmSync(this.#data, { recursive: true, force: true })
    for (const name of ['millrace.json', 'credentials.json', store]) {
      cpSync(join(this.#origin, name), join(this.#data, name), { recursive: true })
    }
    const files = readdirSync(join(this.#data, store), { recursive: true })
      .map((name) => join(this.#data, store, String(name)))
      .filter((path) => statSync(path).isFile())
      // The lake's other tables are not asked for.
      .filter((path) => !/\/(?:identities|rejections)\//.test(path))
      .sort()
    let at = Math.floor(random() * files.reduce((sum, path) => sum + statSync(path).size, 0))
    const path = files.find((each) => {
      const { size } = statSync(each)
      if (at < size) return true
      at -= size
      return false
    })
    const bit = Math.floor(random() * 8)
    const bytes = readFileSync(path)
    bytes[at] ^= 1 << bit
    writeFileSync(path, bytes)
    return `${path.slice(dirname(this.#data).length)} byte ${at} bit ${bit}`
  }

  #ask(data) {
    this.#child ??= fork(ANSWERER, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    const child = this.#child
    return new Promise((resolve) => {
      const ended = (code, signal) => {
        this.#child = undefined
        resolve({ died: String(signal ?? code) })
      }
      child.once('exit', ended)
      child.once('message', (answer) => {
        child.off('exit', ended)
        resolve(answer)
      })
      child.send(data)
    })
  }
}

/** Takes the records of one segment over into a log of several: sealed ones, sidecars and a last one. */
export async function rollLog(folder) {
  const { lines } = await readLog(folder)
  rmSync(folder, { recursive: true })
  const log = await openLog(folder, { segmentBytesMax: 60_000 })
  for (const line of lines.values()) {
    const { t, s, r, q, b, n, f, i, d, c, e, x } = JSON.parse(line)
    await log.append({
      tenantNo: t,
      sourceNo: s,
      receivedMs: r,
      sentMs: q,
      batchId: b,
      eventCount: n,
      flags: f,
      indexes: i,
      defaults: JSON.stringify(d),
      context: JSON.stringify(c),
      events: Buffer.from(JSON.stringify(e)),
      packed: null,
      rejections: x ?? [],
    })
  }
  await log.close()
}

/** Lines by offset, and why there may be more. */
async function readLog(folder) {
  const lines = new Map()
  let log
  try {
    log = await openLog(folder)
    for (let from = 0; ; ) {
      const range = await log.read(TENANT_NO, from, READ_BYTES)
      if (range === undefined) break
      for (const line of Buffer.from(range.lines).toString().split('\n').slice(0, -1)) {
        lines.set(JSON.parse(line).o, line)
      }
      from = range.nextOffset
    }
    // Of a record without a sidecar's row nobody knows the tenant: then the log itself says it.
    const { damagedCount = 0 } = log.totals(TENANT_NO)
    const { damaged = [] } = log.recovered
    const isDamaged = damagedCount > 0 || damaged.length > 0
    const why = isDamaged ? `${damagedCount} events of the tenant are damaged` : undefined
    return { lines, why }
  } catch (error) {
    return { lines, why: error.message }
  } finally {
    await log?.close()
  }
}

/**
 * The child processes of a server, and what they write into the lake: so that a kill can be aimed.
 */
import { readdirSync, readFileSync, watch } from 'node:fs'
import { join } from 'node:path'

/**
 * @param {number | undefined} pid The server's.
 * @param {'delivery' | 'query'} kind
 * @returns {number[]}
 */
export function childrenOf(pid, kind) {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
    return children.filter((each) => isProgram(each, kind)).map(Number)
  } catch {
    return []
  }
}

function isProgram(pid, kind) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${kind}-worker`)
  } catch {
    return false
  }
}

/** Resident bytes of a process; 0 when it is gone. */
export function residentBytes(pid) {
  try {
    const pages = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]
    return Number(pages) * 4_096
  } catch {
    return 0
  }
}

/**
 * Counts each name that appears, changes or goes in the lake's folders of metadata, data and unfinished
 * files: the steps of a commit, as seen from outside.
 */
export class LakeSteps {
  count = 0
  #lake
  #watched = new Map()
  #timer
  #waiting = []

  /** @param {string} data */
  constructor(data) {
    this.#lake = join(data, 'lake')
    this.#look()
    this.#timer = setInterval(() => this.#look(), 25)
  }

  /** Resolves at the `count`-th step from now on. */
  after(count) {
    const at = this.count + count
    return new Promise((resolve) => this.#waiting.push({ at, resolve }))
  }

  close() {
    clearInterval(this.#timer)
    for (const watcher of this.#watched.values()) watcher.close()
  }

  #look() {
    for (const folder of this.#folders()) {
      if (this.#watched.has(folder)) continue
      try {
        const watcher = watch(folder, () => this.#step())
        watcher.on('error', () => {})
        this.#watched.set(folder, watcher)
      } catch {
        // It is not there yet, or gone again.
      }
    }
  }

  #folders() {
    const list = (folder) => {
      try {
        return readdirSync(folder).map((name) => join(folder, name))
      } catch {
        return []
      }
    }
    const tables = list(this.#lake).flatMap(list)
    return [join(this.#lake, '.tmp'), ...tables.map((table) => join(table, 'metadata'))]
  }

  #step() {
    this.count++
    this.#waiting = this.#waiting.filter(({ at, resolve }) => {
      if (at > this.count) return true
      resolve()
      return false
    })
  }
}

/**
 * What each row of the table of faults is tried with: a data folder that has lived, the built server over
 * HTTP with a fault in it, and afterwards the same folder without faults, compared with the account.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { Account, batchOf, bodyOf } from '../support/account.mjs'
import { canCheck, compareByParquet, compareBySql, deliverAll, holds } from '../support/compare.mjs'
import { post } from '../support/producers.mjs'
import { readCredentials, type Server, startServer, stopAll, stopped } from '../support/server.mjs'
import { underStrace } from '../support/strace.mjs'
import { UNLIMITED } from '../support/unlimited.mjs'

const FLAGS = ['--flush-mib', '1', ...UNLIMITED]
/** The exit code of `disk_failed` (kit/errors.ts). */
const DISK_FAILED = 70
const END_MS_MAX = 10_000

export interface Sent {
  readonly id: string
  readonly status: number
  readonly headers: Record<string, string>
  /** Of the problem, where the answer is one. */
  readonly code: string | undefined
}

export class Rig {
  readonly folder: string
  readonly data: string
  readonly account: Account
  #sequence = 0

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'millrace-fault-'))
    this.data = join(this.folder, 'data')
    this.account = new Account(join(this.folder, 'account.ndjson'))
  }

  /** With a first start and first batches behind it. */
  static async make(): Promise<Rig> {
    const rig = new Rig()
    const server = await rig.start()
    await rig.send(server, 4)
    await stopped(server)
    return rig
  }

  /** The segment that is appended to. */
  get log(): string {
    const folder = join(this.data, 'log')
    const newest = readdirSync(folder).filter((name) => name.endsWith('.ndjson'))
    return join(folder, newest.sort().at(-1)!)
  }

  /** `under`: the words before the program, as of `prlimit`. */
  start(under: readonly string[] = [], flags: readonly string[] = []): Promise<Server> {
    return startServer(this.data, { flags: [...FLAGS, ...flags], under })
  }

  /** Under strace, which answers calls on `paths` as it is told: on the newest segment, if not said. */
  startWith(injections: readonly string[], paths = [this.log], flags: readonly string[] = []) {
    return this.start(underStrace(injections, { paths }), flags)
  }

  /** Sends batches, `atOnce` at a time, and enters each acknowledgement. */
  async send(
    { url }: { url: string },
    count: number,
    { atOnce = 1, events }: { atOnce?: number; events?: number } = {},
  ): Promise<Sent[]> {
    const { writeKey } = readCredentials(this.data)
    const answers: Sent[] = []
    for (let at = 0; at < count; at += atOnce) {
      const some = Array.from({ length: Math.min(atOnce, count - at) }, async () => {
        const batch = batchOf(1, this.#sequence++, events)
        this.account.send(batch)
        const { status, headers, body } = await post({ url, writeKey }, undefined, bodyOf(batch))
        if (status === 202) this.account.acknowledge(batch)
        const isProblem = /problem\+json/.test(headers['content-type'] ?? '')
        const code = isProblem ? JSON.parse(body).code : undefined
        return { id: batch.id, status, headers, code }
      })
      answers.push(...(await Promise.all(some)))
    }
    return answers
  }

  /** The server ends by itself, and says that the disk failed. */
  async expectDiskFailed(server: Server): Promise<void> {
    expect(await this.#ended(server)).toBe(DISK_FAILED)
  }

  #ended({ child }: Server): Promise<number | null> {
    if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the server does not end')), END_MS_MAX)
      child.once('close', (code) => {
        clearTimeout(timer)
        resolve(code)
      })
    })
  }

  /** Each acknowledged batch is there once and whole, and no other. */
  async expectAllBySql(server: Server): Promise<void> {
    const sql = await compareBySql(server, this.account)
    expect(sql).toMatchObject({ lost: 0, torn: 0, doubled: 0, invented: 0 })
  }

  /**
   * After the fault: starts as ever, takes events, delivers everything; each acknowledged batch is there
   * once and whole, by SQL and by pyarrow.
   */
  async expectEverything(): Promise<void> {
    const server = await this.start()
    const after = await this.send(server, 2)
    expect(after.map(({ status }) => status)).toEqual([202, 202])
    await this.expectAllBySql(server)
    const ledger = await deliverAll(server, this.account, 30_000)
    await stopped(server)
    if (!(await canCheck())) return
    const parquet = await compareByParquet(this.data, this.account.path, { ledger })
    expect([holds(parquet), parquet]).toEqual([true, parquet])
  }

  async remove(): Promise<void> {
    await stopAll()
    this.account.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

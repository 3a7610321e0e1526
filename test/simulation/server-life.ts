/**
 * A server's life on the model disk: plays a history, and checks the promises after each recovery.
 *
 * A start opens the log, throws away what an earlier process left unfinished, and from then on
 * batches are appended and delivered as the history says.
 */
import {
  type DeliveryParts,
  deliverTenant,
} from '../../packages/pipeline/src/delivery/deliver-tenant.ts'
import type { DeliveryJob } from '../../packages/pipeline/src/delivery/delivery-job.ts'
import type { Clock } from '../../packages/pipeline/src/kit/clock.ts'
import type { FileSystem } from '../../packages/pipeline/src/kit/files.ts'
import { TABLES } from '../../packages/pipeline/src/lake/tables.ts'
import type { DiskLog } from '../../packages/pipeline/src/log/disk-log.ts'
import type { BatchEntry, LogWriter } from '../../packages/pipeline/src/log/event-log.ts'
import { Dice } from './dice.ts'
import { type Action, type BatchShape, type Death, type History, TENANTS } from './history.ts'
import { ModelFiles, type MountedFiles } from './model-files.ts'
import { expectThat, type FoundRecord, Promises, Violation } from './promises.ts'
import { lakeStore, lakeTables, makeSpools, openDeliverers, openLog } from './server-process.ts'
import { type Row, rowsOf } from './stand-in-lake.ts'

const RIVAL_AFTER_TURNS = [0, 5, 20, 60]
const NOW_MS = 20_000 * 86_400_000 + 12 * 3_600_000
const ALL_BYTES = 1 << 30
/** More than any history's slowest step takes; who waits longer hangs. */
const TURNS_MAX = 20_000

/** Puts another disk, log or acknowledgement between the product and what it stands on. */
export interface Tampering {
  files?(files: MountedFiles, disk: ModelFiles): FileSystem
  log?(log: DiskLog): LogWriter
}

export interface LifeReport {
  readonly powerLosses: number
  readonly kills: number
  readonly answered: number
  readonly delivered: number
  /** Segments in which a start found damage: what a power loss left of a group, out of order. */
  readonly damaged: number
}

interface Process {
  readonly log: DiskLog
  readonly writer: LogWriter
  readonly deliverers: readonly DeliveryParts[]
}

/** Throws Violation when a promise is broken. */
export async function playHistory(given: History, tampering: Tampering = {}): Promise<LifeReport> {
  const life = new ServerLife(given, tampering)
  try {
    return await life.play()
  } finally {
    life.end()
  }
}

class ServerLife {
  readonly #history: History
  readonly #tampering: Tampering
  readonly #dice: Dice
  readonly #disk: ModelFiles
  readonly #clock: Clock = { now: () => NOW_MS }
  readonly #promises = new Promises()
  #process: Process | undefined
  /** Of the process that lives, also while it starts. */
  #log: DiskLog | undefined
  #waiting = new Set<Promise<unknown>>()
  #violation: Violation | undefined
  #counts = { powerLosses: 0, kills: 0, answered: 0, delivered: 0, damaged: 0 }

  constructor(given: History, tampering: Tampering) {
    this.#history = given
    this.#tampering = tampering
    this.#dice = new Dice(given.seed)
    this.#disk = new ModelFiles(new Dice(given.seed ^ 0x5eed))
  }

  async play(): Promise<LifeReport> {
    await makeSpools(this.#disk.observe())
    // Also the first start may be cut short: the history begins with one.
    const first: Action = { act: 'die', batches: [], deaths: [this.#history.first] }
    const last: readonly Action[] = [
      { act: 'settle' },
      ...TENANTS.map((tenantNo) => {
        return { act: 'deliver', tenantNo, writers: 1, bytesMax: ALL_BYTES } as const
      }),
      { act: 'settle' },
      { act: 'die', batches: [], deaths: [{ how: 'crash', turns: 0 }] },
    ]
    void this.#start().catch(() => {})
    for (const action of [first, ...this.#history.actions, ...last]) {
      await this.#act(action)
      if (this.#violation !== undefined) throw this.#violation
    }
    return this.#counts
  }

  end(): void {
    this.#disk.killProcess()
    this.#bury()
  }

  async #act(action: Action): Promise<void> {
    switch (action.act) {
      case 'append':
        for (const batch of action.batches) this.#append(this.#entryOf(batch))
        return
      case 'again': {
        const { sent } = this.#promises
        if (sent.length > 0) this.#append(sent[action.which % sent.length]!)
        return
      }
      case 'turns':
        await turns(action.count)
        return
      case 'settle':
        return this.#settle()
      case 'read':
        await this.#unlessFailed(() => this.#checkLog())
        return
      case 'deliver':
        await this.#settleDeliveries()
        this.#deliver(action)
        return
      case 'fail':
        this.#disk.failCall(action.calls, action.errno)
        return
      case 'die':
        for (const batch of action.batches) this.#append(this.#entryOf(batch))
        return this.#die(action.deaths)
    }
  }

  #append(entry: BatchEntry): void {
    this.#promises.offered(entry)
    this.#track(
      this.#process!.writer.append(entry).then(
        (appended) => {
          this.#counts.answered++
          this.#promises.answered(entry, appended)
        },
        (error) => this.#expectFault(error),
      ),
    )
  }

  #track(work: Promise<unknown>): void {
    const watched: Promise<unknown> = work
      .catch((error) => {
        this.#violation ??= error instanceof Violation ? error : new Violation(told(error))
      })
      .finally(() => this.#waiting.delete(watched))
    this.#waiting.add(watched)
  }

  /** Nothing fails unless the disk did. */
  #expectFault(error: unknown): void {
    if (this.#disk.failedCount === 0) throw error
  }

  async #unlessFailed(check: () => Promise<void>): Promise<void> {
    const failedBefore = this.#disk.failedCount
    try {
      await check()
    } catch (error) {
      if (error instanceof Violation || this.#disk.failedCount === failedBefore) throw error
    }
  }

  async #settle(): Promise<void> {
    await this.#bounded(Promise.all(this.#waiting), 'an answer')
    // A log that has stopped stays so until the next start.
    if (this.#process!.log.fault() === undefined || this.#violation !== undefined) return
    return this.#die([{ how: this.#dice.pick(['kill', 'crash']), turns: 0 }])
  }

  async #settleDeliveries(): Promise<void> {
    await this.#bounded(Promise.all(this.#waiting), 'a delivery')
  }

  async #bounded<T>(work: Promise<T>, what: string): Promise<T> {
    let isDone = false
    const done = work.finally(() => {
      isDone = true
    })
    done.catch(() => {})
    for (let turn = 0; !isDone && turn < TURNS_MAX; turn++) await turns(1)
    expectThat(isDone, () => `${what} never came`)
    return done
  }

  /** The process dies, and so do the starts after it, until one is let through and checked. */
  async #die(deaths: readonly Death[]): Promise<void> {
    for (const [at, { how, turns: count }] of deaths.entries()) {
      await turns(count)
      if (this.#violation !== undefined) throw this.#violation
      const isKill = how === 'kill'
      if (isKill) this.#disk.killProcess()
      else this.#disk.losePower()
      this.#bury()
      this.#counts[isKill ? 'kills' : 'powerLosses']++
      if (at < deaths.length - 1) void this.#start().catch(() => {})
    }
    try {
      await this.#bounded(this.#startAgain(), 'a start')
    } catch (error) {
      throw error instanceof Violation ? error : new Violation(`a start failed: ${told(error)}`)
    }
    try {
      await this.#checkLog()
      await this.#checkRemembered()
      await this.#checkLake()
    } catch (error) {
      throw error instanceof Violation ? error : new Violation(told(error))
    }
  }

  /** What a dead process held; its disk takes no call any more, so that closing only ends timers. */
  #bury(): void {
    void this.#log?.close().catch(() => {})
    this.#log = undefined
    this.#process = undefined
    this.#waiting = new Set()
  }

  /** A start during which the disk failed may be refused; the one after it may not. */
  async #startAgain(): Promise<void> {
    const failedBefore = this.#disk.failedCount
    await this.#start().catch((error) => {
      if (this.#disk.failedCount === failedBefore) throw error
      this.#disk.killProcess()
      this.#bury()
      return this.#start()
    })
  }

  async #start(): Promise<void> {
    const mounted = this.#disk.mount()
    const files = this.#tampering.files?.(mounted, this.#disk) ?? mounted
    const parts = { files, clock: this.#clock, random: this.#dice }
    const log = await openLog(parts, this.#history.segmentBytesMax)
    this.#log = log
    this.#counts.damaged += log.recovered.damaged.length
    const deliverers = await openDeliverers(parts)
    this.#process = { log, writer: this.#tampering.log?.(log) ?? log, deliverers }
  }

  #deliver({ tenantNo, writers, bytesMax }: Action & { act: 'deliver' }): void {
    const { deliverers, log } = this.#process!
    const deliver = async () => {
      const tenantId = `t${tenantNo}`
      const { progress } = await deliverers[0]!.tables(tenantId).events.snapshot()
      const plan = log.plan(tenantNo, progress?.nextOffset ?? 0, bytesMax)
      if (plan === undefined) return
      const job: DeliveryJob = { tenantId, plan, sources: [] }
      const works = deliverers.slice(0, writers).map(async (parts, at) => {
        // The second comes when the first is somewhere on its way.
        await turns(at * this.#dice.pick(RIVAL_AFTER_TURNS))
        return deliverTenant(parts, job)
      })
      let winners = 0
      for (const ended of await Promise.allSettled(works)) {
        if (ended.status === 'rejected') {
          this.#expectFault(ended.reason)
          continue
        }
        if (ended.value.status !== 'delivered') continue
        winners++
        this.#counts.delivered++
        this.#promises.delivered(tenantNo, ended.value.nextOffset)
      }
      expectThat(winners <= 1, () => `two writers committed ${tenantId} from ${plan.fromOffset}`)
    }
    this.#track(
      deliver().catch((error) => {
        if (error instanceof Violation) throw error
        this.#expectFault(error)
      }),
    )
  }

  /** All is asked in one turn, since answers go on coming while the disk is read. */
  async #checkLog(): Promise<void> {
    const { log } = this.#process!
    this.#promises.opened(log.logId, log.end())
    const asked = TENANTS.map((tenantNo) => {
      const promised = this.#promises.promisedTo(tenantNo)
      return {
        tenantNo,
        promised,
        totals: log.totals(tenantNo),
        read: log.read(tenantNo, 0, ALL_BYTES),
      }
    })
    await this.#bounded(Promise.all(asked.map(({ read }) => read)), 'a read')
    for (const { tenantNo, promised, totals, read } of asked) {
      const lines = Buffer.from((await read)?.lines ?? [])
        .toString()
        .split('\n')
        .slice(0, -1)
      const records = lines.map((line) => JSON.parse(line) as FoundRecord)
      this.#promises.served(tenantNo, records, totals, promised)
    }
  }

  /** A batch that was promised is known when it is sent again. */
  async #checkRemembered(): Promise<void> {
    for (const entry of this.#promises.sent) {
      if (!this.#promises.isPromised(entry)) continue
      const appended = await this.#bounded(this.#process!.log.append(entry), 'a duplicate')
      this.#promises.answered(entry, appended)
    }
  }

  /** With a reader's eyes, which has nothing but the files. */
  async #checkLake(): Promise<void> {
    const parts = { files: this.#disk.observe(), clock: this.#clock, random: this.#dice }
    const store = lakeStore(parts)
    for (const tenantNo of TENANTS) {
      const tables = lakeTables(parts, store, tenantNo)
      for (const { name } of TABLES) {
        const { files, progress } = await tables[name].snapshot()
        const rows: Row[] = []
        for (const { key, fileBytes, recordCount } of files) {
          const bytes = await store.get(key)
          const found = bytes === undefined ? undefined : rowsOf(bytes)
          expectThat(
            found !== undefined && found.length === recordCount && bytes?.length === fileBytes,
            () => `the snapshot of t${tenantNo}.${name} names ${key}, which is not whole`,
          )
          rows.push(...found!)
        }
        const places = new Set(rows.map(({ batch, index }) => `${batch} ${index}`))
        expectThat(places.size === rows.length, () => `t${tenantNo}.${name} has a row twice`)
        if (name !== 'events') continue
        this.#promises.lakeHolds(tenantNo, progress?.logId, progress?.nextOffset ?? 0, rows)
      }
    }
  }

  #entryOf(shape: BatchShape): BatchEntry {
    const number = this.#promises.sent.length
    const { tenantNo, sourceNo, eventCount, rejectedCount, fillBytes, eventIds } = shape
    const events = Array.from({ length: eventCount }, (_, at) => ({
      eventType: at === 0 ? 'identify' : 'click',
      ...(eventIds === 0 ? {} : { eventId: `e${this.#dice.below(eventIds)}` }),
      data: { fill: 'x'.repeat(fillBytes) },
    }))
    return {
      tenantNo,
      sourceNo,
      receivedMs: NOW_MS + number,
      sentMs: null,
      batchId: `b${number}`,
      eventCount,
      packed: null,
      flags: 0,
      indexes: rejectedCount === 0 ? null : events.map((_, at) => at + rejectedCount),
      defaults: '{}',
      context: '{}',
      events: Buffer.from(JSON.stringify(events)),
      rejections: Array.from({ length: rejectedCount }, (_, index) => {
        return { index, code: 'empty', detail: 'd', pointer: '', raw: '{}' }
      }),
    }
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate)
}

function told(error: unknown): string {
  return error instanceof Error ? `${error.name} ${error.message}` : String(error)
}

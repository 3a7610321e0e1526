/**
 * Decides which tenant is delivered next, in the process that writes the log.
 *
 * Every second each tenant's pending records are put to the flush policy; the one whose oldest record
 * waits longest goes first, one job at a time. Where a tenant stands is what its table `events` says:
 * it is asked for once, then known from the worker's answers, and a worker that finds the table
 * elsewhere says so. So nothing here needs to survive a crash.
 *
 * A job that fails is tried again after a growing, jittered wait; its records stay in the log. One that
 * fails three times by its own doing is taken apart (poison-hunt.ts), without waits, until what it
 * fails on is among the rejections. Other tenants do not wait for either.
 */
import type { Clock, Random } from '../kit/clock.ts'
import { MillraceError } from '../kit/errors.ts'
import type { LogReader, Pending } from '../log/event-log.ts'
import type { ReadPlan } from '../log/read-plan.ts'
import {
  type DeliveryJob,
  type DeliveryResult,
  type DeliveryWorker,
  JobFailure,
} from './delivery-job.ts'
import { FLUSH_BYTES, isFlushDue } from './flush-policy.ts'
import { PoisonHunt } from './poison-hunt.ts'
import { type DeliveryStanding, type Laggard, standingOf } from './standing.ts'
import { Wishes } from './wishes.ts'

const LOOK_MS = 1_000
/** For a while after a full flush: at full load the next is due within a second, and unseen it is lag. */
const BUSY_LOOK_MS = 250
const BUSY_MS = 10_000
/** Waits after failures: 1 s, 2 s, 4 s … at most five minutes, each cut by up to a half. */
const RETRY_MS_MIN = 1_000
const RETRY_MS_MAX = 300_000
/** Failures of its own doing after which a job is taken apart: a process can die of other things. */
const JOB_FAILURES_MAX = 3
/** A job of a hunt is a half, a quarter … of one that takes a second. */
const HUNT_JOB_MS_MAX = 60_000

export interface SchedulerParts {
  readonly reader: Pick<LogReader, 'logId' | 'end' | 'tenants' | 'pending' | 'commit'> & {
    plan(tenantNo: number, fromOffset: number, bytesMax: number): ReadPlan | undefined
    /** Reads a segment again and marks what of it is damaged: later plans pass over that. */
    inspect?(segment: number): Promise<void>
  }
  readonly worker: DeliveryWorker
  /** What a job needs to know of a tenant; undefined: there is no such tenant (any more). */
  readonly tenant: (tenantNo: number) => Pick<DeliveryJob, 'tenantId' | 'sources'> | undefined
  /** Where the tenant's table `events` stands in this log: `offsetIn` of its snapshot. */
  readonly deliveredOffset: (tenantId: string) => Promise<number>
  /** What waits is delivered at this size at the latest; default `FLUSH_BYTES`. */
  readonly flushBytes?: number
  readonly clock: Clock
  readonly random: Random
  readonly onDelivered?: (tenantNo: number, result: DeliveryResult) => void
  /** Told of each failed job; it is tried again. */
  readonly onFault?: (tenantNo: number, error: unknown) => void
}

interface TenantState {
  /** Undefined until the lake was asked. */
  offset: number | undefined
  failureCount: number
  /** Of jobs that failed by their own doing, since the offset last moved. */
  jobFailureCount: number
  retryAtMs: number
  /** Since when the flush policy wants a job and none has moved the offset. */
  dueSinceMs: number | undefined
  /** What the last failure said; undefined once a job went well. */
  error: string | undefined
  hunt: PoisonHunt | undefined
}

export class DeliveryScheduler {
  readonly #parts: SchedulerParts
  readonly #states = new Map<number, TenantState>()
  readonly #wishes = new Wishes()
  #hasNewWish = false
  /** Tenants that were due when all were last looked at, in order. */
  #queue: number[] = []
  #queuedMs = 0
  #huntedLast = false
  /** When a flush was full last. */
  #fullFlushMs = Number.NEGATIVE_INFINITY
  readonly #counts = { failures: 0, delivered: 0, undeliverable: 0, suppressed: 0 }
  #standing: { readonly atMs: number; readonly standing: DeliveryStanding } | undefined
  #running: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(parts: SchedulerParts) {
    this.#parts = parts
  }

  start(): void {
    const look = async () => {
      await this.tick()
      if (this.#stopped) return
      const isBusy = this.#parts.clock.now() - this.#fullFlushMs < BUSY_MS
      this.#timer = setTimeout(look, isBusy ? BUSY_LOOK_MS : LOOK_MS)
    }
    void look()
  }

  /** Delivers all that is due now; resolves when nothing is. Never rejects: see `onFault`. */
  tick(): Promise<void> {
    this.#running ??= this.#work().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /**
   * Delivers now what is durable now, of one tenant or of all. Rejects with the first failure of a
   * job (which is tried again as ever).
   */
  async flush(tenantNo?: number): Promise<void> {
    const { reader } = this.#parts
    const tenants = tenantNo === undefined ? reader.tenants() : [tenantNo]
    const granted = tenants.map((each) =>
      this.#wishes.add(each, reader.pending(each, 0).nextOffset),
    )
    this.#hasNewWish = true
    if (this.#stopped) this.#refuseWishes()
    // A run under way may have looked already; the one after it has not.
    else void this.tick().then(() => this.tick())
    await Promise.all(granted)
  }

  /** Everything of this tenant below it is in the lake; undefined until that is known. */
  progress(tenantNo: number): number | undefined {
    return this.#states.get(tenantNo)?.offset
  }

  /** As of the last second: it looks at every tenant. */
  standing(): DeliveryStanding {
    const nowMs = this.#parts.clock.now()
    if (this.#standing !== undefined && Math.abs(nowMs - this.#standing.atMs) < LOOK_MS) {
      return this.#standing.standing
    }
    const { reader } = this.#parts
    const waiting: (Laggard & { bytes: number })[] = []
    for (const tenantNo of reader.tenants()) {
      const state = this.#stateOf(tenantNo)
      const pending = state.offset === undefined ? null : reader.pending(tenantNo, state.offset)
      if (pending !== null) this.#noteDue(state, pending, nowMs)
      if (pending?.oldestReceivedMs === null) continue
      const { dueSinceMs = nowMs, error } = state
      const lagMs = pending === null ? 0 : Math.max(0, nowMs - pending.oldestReceivedMs)
      const overdueMs = nowMs - dueSinceMs
      waiting.push({ tenantNo, lagMs, overdueMs, error, bytes: pending?.bytes ?? 0 })
    }
    const standing = standingOf(waiting, { ...this.#counts })
    this.#standing = { atMs: nowMs, standing }
    return standing
  }

  /** Waits for the job under way, within the worker's limit. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#parts.worker.stop()
    await this.#running
    this.#refuseWishes()
  }

  async #work(): Promise<void> {
    await this.#findOffsets()
    this.#grantWishes()
    for (;;) {
      const tenantNo = this.#stopped ? undefined : this.#next()
      if (tenantNo === undefined) return
      await this.#deliver(tenantNo, this.#stateOf(tenantNo))
    }
  }

  async #findOffsets(): Promise<void> {
    const { reader, tenant, deliveredOffset, clock } = this.#parts
    const wished = this.#wishes.tenants()
    for (const tenantNo of reader.tenants()) {
      const state = this.#stateOf(tenantNo)
      const isWaiting = state.retryAtMs > clock.now() && !wished.has(tenantNo)
      if (state.offset !== undefined || isWaiting || this.#stopped) continue
      try {
        const known = tenant(tenantNo)
        if (known === undefined) throw new Error(`the log has tenant ${tenantNo}, which is unknown`)
        this.#reached(tenantNo, state, await deliveredOffset(known.tenantId))
      } catch (error) {
        this.#failed(tenantNo, state, error)
      }
    }
  }

  /**
   * The due tenant whose oldest record has waited longest; wishes come first. A hunt gets every other
   * job at most. While some are due, all tenants are looked at once a second, not for each job.
   */
  #next(): number | undefined {
    const nowMs = this.#parts.clock.now()
    const isOld = Math.abs(nowMs - this.#queuedMs) >= LOOK_MS
    if (this.#queue.length === 0 || isOld || this.#hasNewWish) this.#queue = this.#due(nowMs)
    const hunted = this.#huntedLast
    const isFree = (each: number) => !hunted || this.#stateOf(each).hunt === undefined
    const tenantNo = this.#queue.find(isFree) ?? this.#queue[0]
    if (tenantNo !== undefined) this.#queue.splice(this.#queue.indexOf(tenantNo), 1)
    return tenantNo
  }

  #due(nowMs: number): number[] {
    const { reader } = this.#parts
    this.#queuedMs = nowMs
    this.#hasNewWish = false
    const wished = this.#wishes.tenants()
    const due: { tenantNo: number; oldestMs: number }[] = []
    for (const tenantNo of reader.tenants()) {
      const state = this.#stateOf(tenantNo)
      if (state.offset === undefined) continue
      const pending = reader.pending(tenantNo, state.offset)
      const isDue = this.#noteDue(state, pending, nowMs)
      if (pending.oldestReceivedMs === null) continue
      const isWished = wished.has(tenantNo)
      if (!isWished && !(isDue && state.retryAtMs <= nowMs)) continue
      due.push({ tenantNo, oldestMs: isWished ? -1 : pending.oldestReceivedMs })
    }
    return due.sort((left, right) => left.oldestMs - right.oldestMs).map(({ tenantNo }) => tenantNo)
  }

  #noteDue(state: TenantState, pending: Pending, nowMs: number): boolean {
    const isDue =
      pending.oldestReceivedMs !== null &&
      (state.hunt !== undefined || isFlushDue(pending, nowMs, this.#parts.flushBytes))
    if (isDue) state.dueSinceMs ??= nowMs
    else state.dueSinceMs = undefined
    return isDue
  }

  async #deliver(tenantNo: number, state: TenantState): Promise<void> {
    const { reader, worker, tenant } = this.#parts
    const { hunt } = state
    const attempt = hunt?.next()
    this.#huntedLast = attempt !== undefined
    let plan: ReadPlan | undefined
    try {
      const fromOffset = state.offset!
      const { bytesMax = FLUSH_BYTES, ...asked } = attempt ?? {}
      plan = reader.plan(tenantNo, fromOffset, bytesMax)
      // Damage alone is passed first: it is not what a hunt is for.
      const special = plan?.recordCount === 0 ? {} : asked
      const known = tenant(tenantNo)
      if (plan === undefined || known === undefined) {
        throw new Error(`tenant ${tenantNo} has records but no plan or no name`)
      }
      const msMax = attempt === undefined ? {} : { msMax: HUNT_JOB_MS_MAX }
      const result = await worker.deliver({ ...known, plan, ...special, ...msMax })
      this.#took(tenantNo, state, plan, result)
    } catch (error) {
      await this.#lost(tenantNo, state, plan, error)
    }
  }

  #took(tenantNo: number, state: TenantState, plan: ReadPlan, result: DeliveryResult): void {
    const { hunt } = state
    if (result.status === 'moved') {
      if (result.nextOffset === plan.fromOffset) {
        throw new Error(`another writer is at work on the tables of tenant ${tenantNo}`)
      }
      state.hunt = undefined
    } else if (plan.recordCount > 0 && hunt?.succeeded(plan)) state.hunt = undefined
    if (result.status === 'tried') return
    if (result.status === 'delivered') {
      const { flushBytes = FLUSH_BYTES } = this.#parts
      // A plan ends with a whole record, below what it may hold.
      if (plan.bytes >= flushBytes / 2) this.#fullFlushMs = this.#parts.clock.now()
      this.#counts.delivered += result.rowCount
      this.#counts.undeliverable += result.undeliverableCount
      this.#counts.suppressed += result.duplicateCount
    }
    this.#reached(tenantNo, state, result.nextOffset)
    this.#parts.onDelivered?.(tenantNo, result)
  }

  /** A job failed: by its own doing, because of damage in the log, or for a reason that passes. */
  async #lost(
    tenantNo: number,
    state: TenantState,
    plan: ReadPlan | undefined,
    error: unknown,
  ): Promise<void> {
    this.#counts.failures++
    const isOwn = error instanceof JobFailure && plan !== undefined && !this.#stopped
    if (isOwn && state.hunt?.failed(plan, error.message)) return
    if (isOwn) {
      // A hunt that can try nothing more is over; the next begins after as many failures again.
      state.jobFailureCount = state.hunt === undefined ? state.jobFailureCount + 1 : 0
      state.hunt = undefined
    }
    this.#failed(tenantNo, state, error)
    if (isOwn && state.jobFailureCount >= JOB_FAILURES_MAX) {
      state.jobFailureCount = 0
      state.hunt = new PoisonHunt(plan, error.message)
      state.retryAtMs = 0
    }
    const isDamage = error instanceof MillraceError && error.code === 'data_damaged'
    if (isDamage && plan !== undefined && (await this.#inspect(plan))) state.retryAtMs = 0
  }

  /** True when the log knows more of its damage now, and plans around it. */
  async #inspect(plan: ReadPlan): Promise<boolean> {
    const { reader } = this.#parts
    try {
      for (const segment of new Set(plan.pieces.map((piece) => piece.segment))) {
        await reader.inspect?.(segment)
      }
    } catch {
      // What the log cannot look at now, it cannot when the job is tried again either.
      return false
    }
    const again = reader.plan(plan.tenantNo, plan.fromOffset, plan.bytes)
    return again?.skippedEventCount !== plan.skippedEventCount
  }

  #reached(tenantNo: number, state: TenantState, offset: number): void {
    const { reader } = this.#parts
    if (offset > reader.end()) {
      throw new MillraceError(
        'data_damaged',
        `the lake has tenant ${tenantNo} up to offset ${offset}, the log ends at ${reader.end()}`,
        { hint: 'The log lost records, or an older copy of it was put in place.' },
      )
    }
    state.offset = offset
    state.failureCount = 0
    state.jobFailureCount = 0
    state.retryAtMs = 0
    state.dueSinceMs = undefined
    state.error = undefined
    reader.commit(tenantNo, offset)
    this.#grantWishes()
  }

  #grantWishes(): void {
    this.#wishes.grant((tenantNo) => this.progress(tenantNo))
  }

  #failed(tenantNo: number, state: TenantState, error: unknown): void {
    const { clock, random, onFault } = this.#parts
    const waitMs = Math.min(RETRY_MS_MIN * 2 ** state.failureCount, RETRY_MS_MAX)
    const jitter = random.bytes(1)[0]! / 256
    state.failureCount++
    state.retryAtMs = clock.now() + waitMs * (1 - jitter / 2)
    state.dueSinceMs ??= clock.now()
    state.error = error instanceof Error ? error.message : String(error)
    this.#wishes.refuse(error, tenantNo)
    if (!this.#stopped) onFault?.(tenantNo, error)
  }

  #refuseWishes(): void {
    this.#wishes.refuse(new Error('delivery is stopped'))
  }

  #stateOf(tenantNo: number): TenantState {
    const known = this.#states.get(tenantNo)
    if (known !== undefined) return known
    const state: TenantState = {
      offset: undefined,
      failureCount: 0,
      jobFailureCount: 0,
      retryAtMs: 0,
      dueSinceMs: undefined,
      error: undefined,
      hunt: undefined,
    }
    this.#states.set(tenantNo, state)
    return state
  }
}

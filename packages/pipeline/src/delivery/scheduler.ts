/**
 * Decides which tenant is delivered next, in the process that writes the log.
 *
 * Every second each tenant's pending records are put to the flush policy; the one whose oldest record
 * waits longest goes first, one job at a time. Where a tenant stands is what its table `events` says:
 * it is asked for once, then known from the worker's answers, and a worker that finds the table
 * elsewhere says so. So nothing here needs to survive a crash.
 *
 * A job that fails is tried again after a growing, jittered wait; its records stay in the log. Other
 * tenants do not wait for it.
 */
import type { Clock, Random } from '../kit/clock.ts'
import { MillraceError } from '../kit/errors.ts'
import type { LogReader } from '../log/event-log.ts'
import type { ReadPlan } from '../log/read-plan.ts'
import type { DeliveryJob, DeliveryResult, DeliveryWorker } from './delivery-job.ts'
import { FLUSH_BYTES, isFlushDue } from './flush-policy.ts'

const TICK_MS = 1_000
/** Waits after failures: 1 s, 2 s, 4 s … at most five minutes, each cut by up to a half. */
const RETRY_MS_MIN = 1_000
const RETRY_MS_MAX = 300_000

export interface SchedulerParts {
  readonly reader: Pick<LogReader, 'logId' | 'end' | 'tenants' | 'pending' | 'commit'> & {
    plan(tenantNo: number, fromOffset: number, bytesMax: number): ReadPlan | undefined
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
  retryAtMs: number
}

/** Somebody waits until a tenant is delivered up to an offset. */
interface Wish {
  readonly tenantNo: number
  readonly upTo: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class DeliveryScheduler {
  readonly #parts: SchedulerParts
  readonly #states = new Map<number, TenantState>()
  #wishes: Wish[] = []
  #running: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(parts: SchedulerParts) {
    this.#parts = parts
  }

  start(): void {
    this.#timer = setInterval(() => void this.tick(), TICK_MS)
    void this.tick()
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
    const granted = tenants.map(
      (each) =>
        new Promise<void>((resolve, reject) => {
          const upTo = reader.pending(each, 0).nextOffset
          this.#wishes.push({ tenantNo: each, upTo, resolve, reject })
        }),
    )
    if (this.#stopped) this.#refuseWishes()
    // A run under way may have looked already; the one after it has not.
    else void this.tick().then(() => this.tick())
    await Promise.all(granted)
  }

  /** Everything of this tenant below it is in the lake; undefined until that is known. */
  progress(tenantNo: number): number | undefined {
    return this.#states.get(tenantNo)?.offset
  }

  /** Waits for the job under way, within the worker's limit. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#timer)
    await this.#parts.worker.stop()
    await this.#running
    this.#refuseWishes()
  }

  async #work(): Promise<void> {
    await this.#findOffsets()
    this.#grantWishes()
    for (;;) {
      const tenantNo = this.#stopped ? undefined : this.#nextDue()
      if (tenantNo === undefined) return
      await this.#deliver(tenantNo, this.#stateOf(tenantNo))
    }
  }

  async #findOffsets(): Promise<void> {
    const { reader, tenant, deliveredOffset, clock } = this.#parts
    for (const tenantNo of reader.tenants()) {
      const state = this.#stateOf(tenantNo)
      const isWaiting = state.retryAtMs > clock.now() && !this.#isWished(tenantNo)
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

  /** The due tenant whose oldest record has waited longest; wishes come first. */
  #nextDue(): number | undefined {
    const { reader, clock, flushBytes } = this.#parts
    const nowMs = clock.now()
    let next: { tenantNo: number; oldestMs: number } | undefined
    for (const tenantNo of reader.tenants()) {
      const state = this.#stateOf(tenantNo)
      if (state.offset === undefined) continue
      const pending = reader.pending(tenantNo, state.offset)
      if (pending.oldestReceivedMs === null) continue
      const isWished = this.#isWished(tenantNo)
      const isDue = state.retryAtMs <= nowMs && isFlushDue(pending, nowMs, flushBytes)
      if (!isWished && !isDue) continue
      const oldestMs = isWished ? -1 : pending.oldestReceivedMs
      if (next === undefined || oldestMs < next.oldestMs) next = { tenantNo, oldestMs }
    }
    return next?.tenantNo
  }

  async #deliver(tenantNo: number, state: TenantState): Promise<void> {
    const { reader, worker, tenant, onDelivered } = this.#parts
    try {
      const fromOffset = state.offset!
      const plan = reader.plan(tenantNo, fromOffset, FLUSH_BYTES)
      const known = tenant(tenantNo)
      if (plan === undefined || known === undefined) {
        throw new Error(`tenant ${tenantNo} has records but no plan or no name`)
      }
      const result = await worker.deliver({ ...known, plan })
      if (result.status === 'moved' && result.nextOffset === fromOffset) {
        throw new Error(`another writer is at work on the tables of ${known.tenantId}`)
      }
      this.#reached(tenantNo, state, result.nextOffset)
      onDelivered?.(tenantNo, result)
    } catch (error) {
      this.#failed(tenantNo, state, error)
    }
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
    state.retryAtMs = 0
    reader.commit(tenantNo, offset)
    this.#grantWishes()
  }

  #isWished(tenantNo: number): boolean {
    return this.#wishes.some((wish) => wish.tenantNo === tenantNo)
  }

  #grantWishes(): void {
    this.#settle(
      // A tenant without records wishes for offset 0, wherever it stands.
      (wish) => wish.upTo <= (this.#states.get(wish.tenantNo)?.offset ?? 0),
      (wish) => wish.resolve(),
    )
  }

  #failed(tenantNo: number, state: TenantState, error: unknown): void {
    const { clock, random, onFault } = this.#parts
    const waitMs = Math.min(RETRY_MS_MIN * 2 ** state.failureCount, RETRY_MS_MAX)
    const jitter = random.bytes(1)[0]! / 256
    state.failureCount++
    state.retryAtMs = clock.now() + waitMs * (1 - jitter / 2)
    this.#settle(
      (wish) => wish.tenantNo === tenantNo,
      (wish) => wish.reject(error),
    )
    if (!this.#stopped) onFault?.(tenantNo, error)
  }

  #refuseWishes(): void {
    this.#settle(
      () => true,
      (wish) => wish.reject(new Error('delivery is stopped')),
    )
  }

  #settle(which: (wish: Wish) => boolean, how: (wish: Wish) => void): void {
    const settled = this.#wishes.filter(which)
    this.#wishes = this.#wishes.filter((wish) => !which(wish))
    for (const wish of settled) how(wish)
  }

  #stateOf(tenantNo: number): TenantState {
    const known = this.#states.get(tenantNo)
    if (known !== undefined) return known
    const state = { offset: undefined, failureCount: 0, retryAtMs: 0 }
    this.#states.set(tenantNo, state)
    return state
  }
}

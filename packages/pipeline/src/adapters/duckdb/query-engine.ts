/**
 * The query engine's side in the server: a few warm processes, a bounded queue, and a knife.
 *
 * DuckDB is not a boundary for untrusted SQL, and its interrupt is a courtesy: `repeat('x', 3e9)` ran on
 * for a minute and past its memory limit. So every statement runs in a child process that is killed: a
 * second after its deadline if the interrupt was not heard, and at once when its resident memory passes
 * a bound (watched every 100 ms through /proc; on systems without it the engine's own limit stands
 * alone). A killed process is replaced when the next job needs one; the server only ever waits.
 *
 * Tenants take turns, so that a hundred questions of one hold up one of another by one. A process that
 * ends a statement badly, or keeps much memory, is not used again.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { type Problem, type ProblemCode, problem } from '@millrace/protocol'
import type { QueryAnswer, QueryEngine, QueryJob } from '../../query/query-engine.ts'
import type { FromWorker, RunMessage } from './query-messages.ts'

export interface QueryEngineLimits {
  /** Statements that run at the same time. */
  readonly processCount: number
  /** Of one tenant: fewer than there are processes, so that its slow statements leave room for others. */
  readonly runningPerTenantMax: number
  readonly threadCount: number
  /** What the engine allows itself; above it a statement ends with a clean error. */
  readonly memoryLimitMb: number
  /** What a process may hold in fact; above it the process is killed. */
  readonly rssBytesMax: number
  /** A process that keeps more than this when idle is ended, to give the memory back. */
  readonly idleRssBytesMax: number
  /** From the interrupt to the kill. */
  readonly killGraceMs: number
  /** A process without work this long is ended. */
  readonly idleMs: number
  readonly queueLengthMax: number
  readonly queueLengthPerTenantMax: number
  readonly queueWaitMs: number
  /** One answer's rows, rendered. */
  readonly bodyBytesMax: number
}

export const QUERY_ENGINE_LIMITS: QueryEngineLimits = {
  processCount: 3,
  runningPerTenantMax: 2,
  threadCount: 2,
  memoryLimitMb: 1_024,
  rssBytesMax: 2_048 * 1_048_576,
  idleRssBytesMax: 384 * 1_048_576,
  killGraceMs: 1_000,
  idleMs: 60_000,
  queueLengthMax: 32,
  queueLengthPerTenantMax: 8,
  queueWaitMs: 10_000,
  bodyBytesMax: 8 * 1_048_576,
}

/** A statement grows by about 90 MiB/s at worst as measured with `repeat`: a tenth is 9 MiB. */
const MEMORY_WATCH_MS = 100
/** JavaScript's heap in the process: a chunk of 2,048 rows and the answer. */
const HEAP_MIB_MAX = 256

type Outcome = QueryAnswer | { readonly problem: Problem }

interface Waiting {
  readonly job: QueryJob
  readonly settle: (outcome: Outcome) => void
  readonly fail: (error: Error) => void
  timer?: NodeJS.Timeout
  worker?: Worker
}

export class DuckdbQueryEngine implements QueryEngine {
  readonly #workerPath: string
  readonly #limits: QueryEngineLimits
  readonly #workers = new Set<Worker>()
  readonly #queue: Waiting[] = []
  readonly #running = new Set<Waiting>()
  /** When a tenant was last given a process, counted in jobs. */
  readonly #turns = new Map<number, number>()
  #turnNo = 0
  #closed = false

  /** `workerPath` is the built entrypoints/query-worker.js. */
  constructor(workerPath: string, limits: Partial<QueryEngineLimits> = {}) {
    this.#workerPath = workerPath
    this.#limits = { ...QUERY_ENGINE_LIMITS, ...limits }
  }

  /** Ids of the processes that are there, for metrics and tests. */
  processIds(): readonly number[] {
    return [...this.#workers].flatMap((worker) => worker.processId ?? [])
  }

  run(job: QueryJob, signal?: AbortSignal): Promise<Outcome> {
    if (this.#closed) return Promise.resolve(refuse('unavailable', 'the server is stopping'))
    const full = this.#full(job.tenantNo)
    if (full !== undefined) return Promise.resolve(refuse('too_many_requests', full))
    return new Promise<Outcome>((settle, fail) => {
      const waiting: Waiting = { job, settle, fail }
      waiting.timer = setTimeout(
        () =>
          this.#leaveQueue(
            waiting,
            'too_many_requests',
            `no process was free for ${this.#limits.queueWaitMs} ms`,
          ),
        this.#limits.queueWaitMs,
      )
      this.#queue.push(waiting)
      signal?.addEventListener('abort', () => this.#abort(waiting), { once: true })
      this.#startNext()
      if (signal?.aborted) this.#abort(waiting)
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const waiting of [...this.#queue])
      this.#leaveQueue(waiting, 'unavailable', 'the server is stopping')
    await Promise.all([...this.#workers].map((worker) => worker.end()))
  }

  #full(tenantNo: number): string | undefined {
    const { queueLengthMax, queueLengthPerTenantMax } = this.#limits
    if (this.#queue.length >= queueLengthMax) return `${queueLengthMax} queries wait already`
    const own = this.#queue.filter(({ job }) => job.tenantNo === tenantNo).length
    if (own < queueLengthPerTenantMax) return undefined
    return `${queueLengthPerTenantMax} queries of this tenant wait already`
  }

  #leaveQueue(waiting: Waiting, code: ProblemCode, why: string): void {
    const place = this.#queue.indexOf(waiting)
    if (place < 0) return
    this.#queue.splice(place, 1)
    clearTimeout(waiting.timer)
    waiting.settle(refuse(code, why))
  }

  #abort(waiting: Waiting): void {
    this.#leaveQueue(waiting, 'query_failed', 'the request was given up')
    waiting.worker?.stop('query_failed', 'the request was given up')
  }

  #startNext(): void {
    for (;;) {
      const place = this.#nextTurn()
      const worker = place === undefined ? undefined : this.#freeWorker()
      if (place === undefined || worker === undefined) return
      const waiting = this.#takeTurn(place)
      clearTimeout(waiting.timer)
      waiting.worker = worker
      this.#running.add(waiting)
      void worker
        .run(waiting.job)
        .then(waiting.settle, waiting.fail)
        .finally(() => {
          // A late abort must not stop what the process runs next.
          delete waiting.worker
          this.#running.delete(waiting)
          this.#startNext()
        })
    }
  }

  /**
   * Place in the queue of the oldest job of the tenant that has the fewest running; among those, of the one
   * served longest ago. Undefined when whoever waits has as many running as a tenant may.
   */
  #nextTurn(): number | undefined {
    const running = (tenantNo: number) =>
      [...this.#running].filter(({ job }) => job.tenantNo === tenantNo).length
    const [next] = this.#queue
      .map(({ job: { tenantNo } }, place) => {
        return { tenantNo, place, load: running(tenantNo), turn: this.#turns.get(tenantNo) ?? 0 }
      })
      .filter(({ load }) => load < this.#limits.runningPerTenantMax)
      .sort((a, b) => a.load - b.load || a.turn - b.turn || a.place - b.place)
    return next?.place
  }

  #takeTurn(place: number): Waiting {
    const waiting = this.#queue.splice(place, 1)[0] as Waiting
    // Turns matter among those who wait: when nobody does, all but the last are forgotten.
    if (this.#queue.length === 0) this.#turns.clear()
    this.#turns.set(waiting.job.tenantNo, ++this.#turnNo)
    return waiting
  }

  #freeWorker(): Worker | undefined {
    const free = [...this.#workers].find((worker) => worker.free)
    if (free !== undefined) return free
    // One that is being killed still holds its memory: its place is free when it is gone.
    if (this.#workers.size >= this.#limits.processCount) return undefined
    const worker = new Worker(this.#workerPath, this.#limits, () => {
      this.#workers.delete(worker)
      if (!this.#closed) this.#startNext()
    })
    this.#workers.add(worker)
    return worker
  }
}

interface Current {
  readonly settle: (outcome: Outcome) => void
  readonly fail: (error: Error) => void
  /** Why it was stopped, once it was: what the person is told, whatever the process still says. */
  stopped?: Problem
  readonly timers: NodeJS.Timeout[]
}

/** One process and what it runs. */
class Worker {
  readonly #limits: QueryEngineLimits
  readonly #process: ChildProcess
  readonly #gone: Promise<void>
  #current: Current | undefined
  #idle: NodeJS.Timeout | undefined
  #ending = false

  constructor(path: string, limits: QueryEngineLimits, onGone: () => void) {
    this.#limits = limits
    this.#process = fork(path, [], {
      // No secret of the server reaches the process, and nothing of the process reaches the console.
      env: { TZ: 'UTC' },
      execArgv: [`--max-old-space-size=${HEAP_MIB_MAX}`],
      cwd: '/',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
    })
    this.#process.on('message', (message) => this.#answered(message as FromWorker))
    // A message to a process that is just dying: its exit tells the rest.
    this.#process.on('error', () => this.#kill())
    this.#gone = new Promise((resolve) => {
      const left = (code: number | null, signal: string | null) => {
        this.#ending = true
        clearTimeout(this.#idle)
        const why = `the query ended its process (${signal ?? `exit ${code}`})`
        this.#settle(refuse('query_failed', why))
        resolve()
        onGone()
      }
      this.#process.once('exit', left)
      this.#process.once('error', () => {
        if (this.#process.pid === undefined) left(null, 'could not be started')
      })
    })
  }

  get free(): boolean {
    return this.#current === undefined && !this.#ending
  }

  get processId(): number | undefined {
    return this.#process.pid
  }

  run(job: QueryJob): Promise<Outcome> {
    clearTimeout(this.#idle)
    return new Promise<Outcome>((settle, fail) => {
      const deadline = setTimeout(
        () => this.stop('query_timeout', `the query did not end within ${job.timeoutMs} ms`),
        job.timeoutMs,
      )
      const watch = setInterval(() => void this.#watchMemory(current), MEMORY_WATCH_MS)
      const current: Current = { settle, fail, timers: [deadline, watch] }
      this.#current = current
      const { threadCount, memoryLimitMb, bodyBytesMax } = this.#limits
      const limits = { threadCount, memoryLimitMb, bodyBytesMax }
      const message: RunMessage = { kind: 'run', job, limits }
      this.#process.send(message)
    })
  }

  /** Interrupts what runs; kills the process if that is not heard. */
  stop(code: ProblemCode, why: string): void {
    const current = this.#current
    if (current === undefined || current.stopped !== undefined) return
    current.stopped = problem(code, why)
    if (this.#process.connected) this.#process.send({ kind: 'interrupt' })
    current.timers.push(setTimeout(() => this.#kill(), this.#limits.killGraceMs))
  }

  async end(): Promise<void> {
    if (this.#current !== undefined) this.#current.stopped ??= problem('unavailable', 'stopping')
    this.#kill()
    await this.#gone
  }

  #kill(): void {
    this.#ending = true
    this.#process.kill('SIGKILL')
  }

  async #watchMemory(current: Current): Promise<void> {
    const bytes = await residentBytes(this.#process.pid)
    if (this.#current !== current || bytes <= this.#limits.rssBytesMax) return
    const limitMib = Math.round(this.#limits.rssBytesMax / 1_048_576)
    current.stopped = problem('query_failed', `the query took more than ${limitMib} MiB of memory`)
    this.#kill()
  }

  #answered(message: FromWorker): void {
    const current = this.#current
    if (current === undefined) return
    if (message.kind === 'fault') {
      this.#kill()
      if (current.stopped === undefined) {
        this.#clear(current)
        current.fail(new Error(`a query process failed: ${message.message}`))
        return
      }
      this.#settle({ problem: current.stopped })
      return
    }
    const { outcome } = message
    // The engine's state after a failure of memory or of its own is not to be relied on.
    if ('problem' in outcome && outcome.problem.code === 'query_failed') this.#kill()
    this.#settle(outcome)
    void this.#rest()
  }

  #settle(outcome: Outcome): void {
    const current = this.#current
    if (current === undefined) return
    this.#clear(current)
    const stopped = current.stopped
    current.settle(
      stopped === undefined || !('problem' in outcome) ? outcome : { problem: stopped },
    )
  }

  #clear(current: Current): void {
    for (const timer of current.timers) clearTimeout(timer)
    this.#current = undefined
  }

  async #rest(): Promise<void> {
    this.#idle = setTimeout(() => this.#kill(), this.#limits.idleMs)
    const bytes = await residentBytes(this.#process.pid)
    if (this.#current === undefined && bytes > this.#limits.idleRssBytesMax) this.#kill()
  }
}

function refuse(code: ProblemCode, detail: string): { readonly problem: Problem } {
  return { problem: problem(code, detail) }
}

/** Resident memory of a process; 0 where the system does not say (no /proc, or it is gone). */
async function residentBytes(processId: number | undefined): Promise<number> {
  if (processId === undefined) return 0
  try {
    const status = await readFile(`/proc/${processId}/status`, 'latin1')
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1_024
  } catch {
    return 0
  }
}

/**
 * The delivery worker in a process of its own: both ends of the channel.
 *
 * A process of its own because DuckDB's threads and memory are then not the server's: it is started
 * for the first job, ended after a minute without one, and one that dies costs its job alone, which
 * the caller gives again. The child ends when the channel closes, so it never outlives the server.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { constants, getPriority, setPriority } from 'node:os'
import { ERRORS, type ErrorCode, MillraceError } from '../kit/errors.ts'
import { type DeliveryParts, deliverTenant } from './deliver-tenant.ts'
import {
  type DeliveryJob,
  type DeliveryResult,
  type DeliveryWorker,
  JobFailure,
} from './delivery-job.ts'

/** A process without work this long is ended: it holds hundreds of megabytes. */
const IDLE_MS = 60_000
/** A job is 64 MiB: a second of work. Ten minutes is a process that hangs. */
const JOB_MS_MAX = 600_000
/** What a stopping server waits for the job under way; it is done again after the next start. */
const STOP_MS_MAX = 10_000
/**
 * Conversion can wait, a sender cannot: where both want one CPU, the server gets nine parts of ten
 * (nice 10), and an idle CPU is the conversion's as ever.
 */
const PRIORITY = constants.priority.PRIORITY_BELOW_NORMAL
/**
 * One thread converts, so one arena is enough, and what a job no longer needs goes back at once: as
 * quick as the allocator's own settings, and 100 to 200 MB less at the peak of a job.
 */
const ALLOCATOR = 'narenas:1,dirty_decay_ms:200,muzzy_decay_ms:0'
/** DuckDB answers nothing more after such an error: the next job needs a new process. */
const ENGINE_IS_BROKEN = /FATAL|INTERNAL|invalidated/i

interface Answer {
  readonly result?: DeliveryResult
  readonly error?: {
    readonly code?: string
    readonly message: string
    readonly hint?: string
    /** A JobFailure. */
    readonly own?: boolean
  }
}

export interface DeliveryWorkerOptions {
  /** Path of the built entrypoints/delivery-worker.js. */
  readonly program: string
  readonly dataFolder: string
  readonly bucket: string
  readonly idleMs?: number
  readonly jobMsMax?: number
  readonly stopMsMax?: number
}

/** The server's end. Starts nothing before the first job. */
export function forkDeliveryWorker(options: DeliveryWorkerOptions): ForkedDeliveryWorker {
  return new ForkedDeliveryWorker(options)
}

export class ForkedDeliveryWorker implements DeliveryWorker {
  readonly #options: DeliveryWorkerOptions
  #child: ChildProcess | undefined
  #idle: NodeJS.Timeout | undefined
  #last: Promise<unknown> = Promise.resolve()
  #stopped = false

  constructor(options: DeliveryWorkerOptions) {
    this.#options = options
  }

  /** Of the running process; undefined when there is none. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  deliver(job: DeliveryJob): Promise<DeliveryResult> {
    const next = this.#last.then(() => this.#run(job))
    this.#last = next.catch(() => {})
    return next
  }

  async stop(): Promise<void> {
    this.#stopped = true
    const deadline = setTimeout(() => this.#kill(), this.#options.stopMsMax ?? STOP_MS_MAX)
    await this.#last
    clearTimeout(deadline)
    clearTimeout(this.#idle)
    const child = this.#child
    if (child === undefined) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    this.#kill()
    await ended
  }

  async #run(job: DeliveryJob): Promise<DeliveryResult> {
    if (this.#stopped) throw new Error('the delivery worker is stopped')
    clearTimeout(this.#idle)
    const child = this.#child ?? this.#start()
    try {
      const answer = await this.#ask(child, job)
      if (answer.error?.own && ENGINE_IS_BROKEN.test(answer.error.message)) this.#kill()
      return resultOf(answer)
    } finally {
      this.#idle = setTimeout(() => this.#kill(), this.#options.idleMs ?? IDLE_MS)
      this.#idle.unref()
    }
  }

  #ask(child: ChildProcess, job: DeliveryJob): Promise<Answer> {
    const jobMsMax = job.msMax ?? this.#options.jobMsMax ?? JOB_MS_MAX
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(deadline)
        child.off('message', answered).off('exit', exited).off('error', failed)
        act()
      }
      const answered = (answer: Answer) => settle(() => resolve(answer))
      const exited = (code: number | null, signal: string | null) =>
        settle(() => reject(new JobFailure(`the delivery process ended with ${signal ?? code}`)))
      const failed = (error: Error) => settle(() => reject(error))
      const deadline = setTimeout(() => {
        settle(() => reject(new JobFailure(`a delivery job took more than ${jobMsMax} ms`)))
        this.#kill()
      }, jobMsMax)
      child.on('message', answered).on('exit', exited).on('error', failed)
      child.send(job, (error) => error && failed(error))
    })
  }

  #start(): ChildProcess {
    const { program, dataFolder, bucket } = this.#options
    const child = fork(program, [dataFolder, bucket], {
      // Nothing of the server's surroundings, which may hold secrets.
      env: { NODE_NO_WARNINGS: '1', DUCKDB_JE_MALLOC_CONF: ALLOCATOR },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    const forget = () => {
      if (this.#child === child) this.#child = undefined
    }
    lowerPriority(child)
    // A listener for good: an error without one would end the server.
    child.on('error', forget).on('exit', forget)
    this.#child = child
    return child
  }

  #kill(): void {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }
}

/** At once after the start: threads get the priority of the one that makes them. */
function lowerPriority(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) setPriority(child.pid, Math.max(PRIORITY, getPriority()))
  } catch {
    // It is gone already, or this system has no priorities: then it works as any process.
  }
}

/** The child's end: answers each job in turn, for as long as the parent is there. */
export function serveDelivery(
  channel: Pick<NodeJS.Process, 'on' | 'send' | 'exit'>,
  parts: DeliveryParts,
): void {
  let last: Promise<void> = Promise.resolve()
  channel.on('message', (job: DeliveryJob) => {
    last = last.then(async () => {
      const answer: Answer = await deliverTenant(parts, job).then(
        (result) => ({ result }),
        (error) => ({ error: errorOf(error) }),
      )
      channel.send?.(answer)
    })
  })
  channel.on('disconnect', () => channel.exit(0))
  // Ctrl-C reaches the whole group; the server says when to end.
  channel.on('SIGINT', () => {})
}

function errorOf(error: unknown): NonNullable<Answer['error']> {
  if (error instanceof MillraceError) {
    return { code: error.code, message: error.message, hint: error.hint }
  }
  const message = error instanceof Error ? error.message : String(error)
  return { message, own: error instanceof JobFailure }
}

function resultOf({ result, error }: Answer): DeliveryResult {
  if (result !== undefined) return result
  const { code, message = 'no answer', hint, own } = error ?? {}
  if (own) throw new JobFailure(message)
  if (code !== undefined && code in ERRORS) {
    throw new MillraceError(code as ErrorCode, message, hint === undefined ? {} : { hint })
  }
  throw new Error(`delivery failed: ${message}`)
}

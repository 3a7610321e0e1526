/**
 * The query process: one statement at a time, each in an instance of its own.
 *
 * It holds no credential and no environment, and opens nothing but what a job names. It ends with its
 * parent: a lost channel kills it at once, whatever its threads are doing. The next instance is made
 * while nothing runs, so that a query finds it ready.
 */
import { writeFileSync } from 'node:fs'
import { execute } from './query-execute.ts'
import type { FromWorker, RunMessage, ToWorker } from './query-messages.ts'
import { bareInstance, closeSandbox } from './query-sandbox.ts'

export function serveQueries(process: NodeJS.Process): void {
  const send = (message: FromWorker) => process.send?.(message)
  let ready = bareInstance()
  // Whoever awaits it sees the failure; this only keeps it from being unhandled meanwhile.
  ready.catch(() => {})
  let interrupt: (() => void) | undefined
  volunteerForTheOomKiller()

  const run = async ({ job, limits }: RunMessage): Promise<FromWorker> => {
    const bare = await ready
    let interrupted = false
    interrupt = () => {
      interrupted = true
      bare.connection.interrupt()
    }
    try {
      await closeSandbox(bare, job, limits)
      // An interrupt between two statements of the engine is lost on it.
      if (interrupted) throw new Error('INTERRUPT Error: before the statement ran')
      return { kind: 'done', outcome: await execute(bare.connection, job, limits.bodyBytesMax) }
    } finally {
      interrupt = undefined
      bare.connection.closeSync()
      bare.instance.closeSync()
    }
  }

  process.on('message', (message: ToWorker) => {
    if (message.kind === 'interrupt') {
      interrupt?.()
      return
    }
    void run(message)
      .catch((error: unknown): FromWorker => ({ kind: 'fault', message: String(error) }))
      .then((answer) => {
        send(answer)
        ready = bareInstance()
        ready.catch(() => {})
      })
  })
  // Not process.exit: it would wait for the engine's threads.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
}

/** Where memory runs out, this process goes before the one that takes events in (Linux alone). */
function volunteerForTheOomKiller(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000')
  } catch {
    // Another system, or not permitted: the memory watch of the parent stands without it.
  }
}

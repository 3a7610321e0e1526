/**
 * `millrace start`: the server in this process.
 *
 * The first line on stdout is JSON, `{"event":"listening","url":…}`, for programs; people at a terminal get
 * a few words on stderr. SIGTERM and SIGINT stop gracefully: no new requests, what was accepted is
 * flushed, at most ten seconds. A log that fenced itself ends the process with its own exit code
 * within two, so that a supervisor starts it again and recovery reads what is on the disk.
 */
import { setFlagsFromString } from 'node:v8'
import { readConfig } from '../../entrypoints/config.ts'

/**
 * Percent by which the heap may grow until all of it is collected. What arrives lives outside the heap,
 * which stays at some 20 MB; by V8's own rule it was collected four times a second under half a load,
 * each time a pause of 5 to 17 ms.
 */
const HEAP_GROWTH_PERCENT = 300
const STOP_MAX_MS = 10_000
/** What waits is refused at once: this long for the answers to leave. */
const FENCED_STOP_MAX_MS = 2_000

export async function start(flags: Record<string, string | undefined>): Promise<void> {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH_PERCENT}`)
  const { config: file, ...rest } = flags
  const config = readConfig({ flags: rest, environment: process.env, file })
  // Read after the settings: a wrong flag is told at once, before the engines are loaded.
  const { composePipeline } = await import('../../entrypoints/compose.ts')
  // The supervisor of the demo says so over its channel, not by a flag that others could use.
  const demo = process.env.MILLRACE_DEMO === '1' && process.channel !== undefined
  const pipeline = await composePipeline(config, { demo })
  process.stdout.write(
    `${JSON.stringify({ event: 'listening', url: pipeline.url, pid: process.pid })}\n`,
  )
  if (demo) {
    process.send?.({
      url: pipeline.url,
      links: { console: pipeline.loginLink(), demo: pipeline.loginLink() },
    })
    process.on('message', (message) => pipeline.onDemoMessage(message))
  } else if (process.stderr.isTTY) {
    process.stderr.write(
      `\n  console  ${pipeline.url}/#link=${pipeline.loginLink()}   (works once, within half an hour)\n` +
        `  data     ${config.data}\n` +
        `  try      npx millrace sql "select event_type, count(*) from events group by 1"\n\n`,
    )
  }
  let stopping = false
  const end = (exitCode: number, lateCode: number, maxMs: number) => {
    if (stopping) return
    stopping = true
    setTimeout(() => process.exit(lateCode), maxMs).unref()
    pipeline.stop().then(
      () => process.exit(exitCode),
      (error) => {
        process.stderr.write(`error: ${String(error)}\n`)
        process.exit(lateCode)
      },
    )
  }
  const stop = () => end(0, 1, STOP_MAX_MS)
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.on('disconnect', stop)
  void pipeline.fenced.then(({ message, hint, exitCode }) => {
    process.stderr.write(`error: ${message}\nhint: ${hint}\n`)
    end(exitCode, exitCode, FENCED_STOP_MAX_MS)
  })
}

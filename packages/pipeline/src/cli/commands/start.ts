/**
 * `millrace start`: the server in this process.
 *
 * The first line on stdout is JSON, `{"event":"listening","url":…}`, for programs; people at a terminal get
 * a few words on stderr. SIGTERM and SIGINT stop gracefully: no new requests, what was accepted is
 * flushed, at most ten seconds.
 */
import { readConfig } from '../../entrypoints/config.ts'

const STOP_MAX_MS = 10_000

export async function start(flags: Record<string, string | undefined>): Promise<void> {
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
  const stop = () => {
    if (stopping) return
    stopping = true
    setTimeout(() => process.exit(1), STOP_MAX_MS).unref()
    pipeline.stop().then(
      () => process.exit(0),
      (error) => {
        process.stderr.write(`error: ${String(error)}\n`)
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.on('disconnect', stop)
}

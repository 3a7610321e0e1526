/**
 * `millrace demo`: the server under a supervisor, a made-up shop to click through, and a tenant `sample`
 * filled by `simulate` through the HTTP door.
 *
 * The supervisor only starts, watches and restarts: the demo page has a button that kills the server with
 * SIGKILL, and whoever presses it should see it come back with nothing lost.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Config, kebab, readConfig, SETTINGS } from '../../entrypoints/config.ts'
import { MillraceError } from '../../kit/errors.ts'
import { VERSION } from '../../kit/version.ts'
import { progressLine } from '../progress.ts'
import { Restarts } from './restarts.ts'

const PROGRAM = fileURLToPath(new URL('../millrace.js', import.meta.url))
const LOADER = fileURLToPath(new URL('../simulate/load-sample.js', import.meta.url))
const DEMO_FOLDER = 'millrace-demo'
/** Ports tried after the one that is busy. */
const PORTS_TRIED = 20

/** What the server says when it listens: its address, and secrets that log in once. */
interface Listening {
  readonly url: string
  readonly links: { readonly console: string; readonly demo: string }
}

export interface SampleState {
  readonly state: 'loading' | 'ready' | 'failed' | 'off'
  readonly loaded: number
  readonly total: number
}

export async function demo(
  flags: Record<string, string | undefined> & { sample?: boolean },
): Promise<void> {
  const { sample: wantsSample, config: file, ...rest } = flags as Record<string, string | undefined>
  const environment = { ...process.env, MILLRACE_DATA: process.env.MILLRACE_DATA ?? DEMO_FOLDER }
  const config = readConfig({ flags: rest, environment, file })
  const port = await freePort(config)
  const supervisor = new Supervisor(config, port)
  const { url, links } = await supervisor.start()
  process.stdout.write(
    `\n  Millrace ${VERSION}\n\n` +
      `  shop     ${url}/demo#link=${links.demo}\n` +
      `           move the mouse in the shop and watch your events arrive in SQL\n` +
      `  console  ${url}/#link=${links.console}\n` +
      `           (each link works once, within half an hour; later: client id and secret of ${join(config.data, 'credentials.json')})\n` +
      `  data     ${config.data}\n` +
      `  try      npx millrace sql "select event_type, count(*) from events group by 1 order by 2 desc"\n` +
      `  stop     Ctrl-C\n\n`,
  )
  // Commander's --no-sample arrives as the boolean false.
  if ((wantsSample as unknown) === false)
    supervisor.tellSample({ state: 'off', loaded: 0, total: 0 })
  else await loadSample(config, url, supervisor)
}

class Supervisor {
  readonly #config: Config
  readonly #port: number
  #server: ChildProcess | undefined
  #sample: SampleState = { state: 'loading', loaded: 0, total: 0 }
  #restarts = 0
  readonly #limit = new Restarts()
  #stopping = false

  constructor(config: Config, port: number) {
    this.#config = config
    this.#port = port
    const stop = () => {
      if (this.#stopping) return
      this.#stopping = true
      this.#server?.kill('SIGTERM')
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
  }

  get stopping(): boolean {
    return this.#stopping
  }

  /** Resolves when the server listens; if it ends before, this process ends with its exit code. */
  start(): Promise<Listening> {
    const { logLevel } = this.#config
    const settings: Config = {
      ...this.#config,
      port: this.#port,
      logLevel: logLevel === 'info' ? 'warn' : logLevel,
    }
    const flags = SETTINGS.flatMap(({ name }) => {
      // A list that is empty was not given, and as text it would be an empty name.
      const text = String(settings[name] ?? '')
      return text === '' ? [] : [`--${kebab(name)}`, text]
    })
    const server = fork(PROGRAM, ['start', ...flags], {
      env: { ...process.env, MILLRACE_DEMO: '1' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      detached: true,
    })
    this.#server = server
    return new Promise((resolve) => {
      server.once('message', (message) => {
        resolve(message as Listening)
        server.off('exit', early)
        server.on('exit', (code, signal) => this.#ended(code, signal))
        this.#tell()
      })
      // Its own words are on stderr already.
      const early = (code: number | null) => process.exit(this.#stopping ? 0 : (code ?? 1))
      server.once('exit', early)
    })
  }

  #ended(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#stopping) process.exit(0)
    const now = performance.now()
    const refusal = this.#limit.refusal(code, now)
    if (refusal !== undefined) {
      process.stderr.write(`error: ${refusal}\n`)
      process.exit(code ?? 1)
    }
    this.#restarts++
    void this.start().then(() => {
      const downMs = Math.round(performance.now() - now)
      process.stderr.write(
        `  the server ended (${signal ?? code}) and is back after ${downMs} ms\n`,
      )
    })
  }

  tellSample(sample: SampleState): void {
    this.#sample = sample
    this.#tell()
  }

  #tell(): void {
    if (this.#server?.connected === true)
      this.#server.send({ sample: this.#sample, restarts: this.#restarts })
  }
}

/** The next free port, with one sentence when it is not the one asked for. */
async function freePort({ host, port }: Config): Promise<number> {
  for (let candidate = port; candidate < port + PORTS_TRIED; candidate++) {
    if (!(await isFree(host, candidate))) continue
    if (candidate !== port)
      process.stdout.write(`port ${port} is busy, so this demo uses ${candidate}.\n`)
    return candidate === 0 ? pickPort(host) : candidate
  }
  throw new MillraceError(
    'port_in_use',
    `ports ${port} to ${port + PORTS_TRIED - 1} on ${host} are in use`,
  )
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, host, () => probe.close(() => resolve(true)))
  })
}

/** Restarts must find the same port, so port 0 is settled here once. */
function pickPort(host: string): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, host, () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

async function loadSample(config: Config, url: string, supervisor: Supervisor): Promise<void> {
  const marker = join(config.data, 'sample-loaded.json')
  if (existsSync(marker)) {
    const { accepted } = JSON.parse(readFileSync(marker, 'utf8')) as { accepted: number }
    supervisor.tellSample({ state: 'ready', loaded: accepted, total: accepted })
    process.stdout.write(`  tenant sample: ${accepted.toLocaleString('en')} made-up events\n`)
    return
  }
  const progress = progressLine(process.stdout)
  const startedMs = performance.now()
  // A process of its own: its memory is gone when it is done.
  const loader = fork(LOADER, [url, join(config.data, 'sample-credentials.json')], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  process.on('exit', () => loader.kill())
  let last: SampleState = { state: 'loading', loaded: 0, total: 0 }
  let rejected = 0
  loader.on('message', (message) => {
    const { visits, totalVisits, events, refused, done } = message as {
      visits: number
      totalVisits: number
      events: number
      refused: number
      done: boolean
    }
    rejected = refused
    last = {
      state: done ? 'ready' : 'loading',
      loaded: events,
      total: done ? events : Math.round((events / Math.max(1, visits)) * totalVisits),
    }
    supervisor.tellSample(last)
    progress.update(
      visits,
      totalVisits,
      `loading the sample: ${events.toLocaleString('en')} made-up events`,
    )
  })
  loader.once('exit', () => {
    if (supervisor.stopping) return
    if (last.state !== 'ready') {
      supervisor.tellSample({ ...last, state: 'failed' })
      progress.end('  the sample could not be loaded; start again to try again')
      return
    }
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    progress.end(
      `  tenant sample: ${last.loaded.toLocaleString('en')} made-up events (${rejected} refused on purpose) in ${seconds} s`,
    )
    void writeFile(marker, JSON.stringify({ accepted: last.loaded, rejected }))
  })
}

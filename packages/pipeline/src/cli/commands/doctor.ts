/**
 * `millrace doctor`: looks at the machine and a data folder and says what is wrong, each with a hint.
 *
 * It changes nothing and may run beside a server. The exit code is 1 when something is wrong.
 */
import { constants } from 'node:fs'
import { access, readdir, readFile, stat, statfs } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { readMarker } from '../../entrypoints/data-folder.ts'
import { ASSETS } from '../../entrypoints/static-routes.ts'
import { MillraceError } from '../../kit/errors.ts'
import { nodeFiles } from '../../kit/files.ts'
import { VERSION } from '../../kit/version.ts'

const GIB = 1 << 30
/** A day of a medium customer's events and their Parquet fit well into this. */
const FREE_BYTES_WANTED = 5 * GIB

interface Finding {
  readonly good: boolean
  readonly text: string
  readonly hint?: string
}

export async function doctor(flags: { data?: string }): Promise<void> {
  const folder = resolve(
    flags.data ??
      process.env.MILLRACE_DATA ??
      (await firstExisting(['millrace-data', 'millrace-demo'])),
  )
  const findings = [nodeVersion(), await engine(), await assets(), ...(await dataFolder(folder))]
  for (const { good, text, hint } of findings) {
    process.stdout.write(
      `${good ? 'ok  ' : 'BAD '} ${text}\n${good || hint === undefined ? '' : `     ${hint}\n`}`,
    )
  }
  if (findings.some(({ good }) => !good)) process.exitCode = 1
}

async function firstExisting(names: readonly string[]): Promise<string> {
  for (const name of names) if (await exists(name)) return name
  return names[0] as string
}

function nodeVersion(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const good = major > 20 || (major === 20 && minor >= 19)
  return {
    good,
    text: `millrace ${VERSION}, Node ${process.versions.node} on ${process.platform}-${process.arch}`,
    hint: 'Node 20.19 or later is needed.',
  }
}

async function engine(): Promise<Finding> {
  try {
    const { sqlEngineVersion } = await import('../../entrypoints/compose.ts')
    return { good: true, text: `SQL engine: DuckDB ${await sqlEngineVersion()}` }
  } catch (error) {
    return {
      good: false,
      text: `the SQL engine does not load: ${(error as Error).message}`,
      hint: 'Run npm install again on this machine; its platform may not be supported.',
    }
  }
}

async function assets(): Promise<Finding> {
  const missing: string[] = []
  for (const file of ['tracker/m.js', 'console/index.html', 'shop/index.html'])
    if (!(await exists(join(ASSETS, file)))) missing.push(file)
  return {
    good: missing.length === 0,
    text:
      missing.length === 0
        ? 'tracker, console and shop are built'
        : `not built: ${missing.join(', ')}`,
    hint: 'Run npm run build.',
  }
}

async function dataFolder(folder: string): Promise<Finding[]> {
  if (!(await exists(folder)))
    return [
      { good: true, text: `data folder ${folder} does not exist yet; the first start makes it` },
    ]
  const findings: Finding[] = []
  try {
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    findings.push({ good: true, text: `data folder ${folder} can be read and written` })
  } catch (error) {
    return [
      {
        good: false,
        text: `data folder ${folder}: ${(error as Error).message}`,
        hint: 'Give it to the user that runs the server.',
      },
    ]
  }
  findings.push(
    await format(folder),
    await space(folder),
    await secrets(folder),
    await server(folder),
  )
  return findings
}

async function format(folder: string): Promise<Finding> {
  try {
    const marker = await readMarker(folder, nodeFiles)
    if (marker === undefined)
      return { good: true, text: 'it was never started; the first start sets it up' }
    const segments = (await readdir(join(folder, 'log')).catch(() => [])).filter((name) =>
      name.endsWith('.ndjson'),
    ).length
    return {
      good: true,
      text: `format ${marker.format}, bucket ${marker.bucket}, ${segments} log segments`,
    }
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    const hint =
      error.code === 'data_newer'
        ? error.hint
        : 'Is this a data folder of millrace? If so, put millrace.json back from a backup.'
    return { good: false, text: error.message, hint }
  }
}

async function space(folder: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  return {
    good: free >= FREE_BYTES_WANTED,
    text: `${(free / GIB).toFixed(1)} GiB free`,
    hint: 'Free some space: when the disk is full, new events are answered with 503.',
  }
}

async function secrets(folder: string): Promise<Finding> {
  const open: string[] = []
  const names = [
    'credentials.json',
    'control.db',
    ...(await readdir(join(folder, 'keys')).catch(() => [])).map((name) => `keys/${name}`),
  ]
  for (const name of names) {
    const facts = await stat(join(folder, name)).catch(() => undefined)
    if (facts !== undefined && (facts.mode & 0o077) !== 0) open.push(name)
  }
  return {
    good: open.length === 0,
    text:
      open.length === 0
        ? 'secrets are readable by their owner alone'
        : `readable by others: ${open.join(', ')}`,
    hint: `chmod 600 ${open.map((name) => join(folder, name)).join(' ')}`,
  }
}

async function server(folder: string): Promise<Finding> {
  const written = await readFile(join(folder, 'server.json'), 'utf8').catch(() => undefined)
  if (written === undefined) return { good: true, text: 'no server runs on it' }
  let url: unknown
  let pid: unknown
  try {
    ;({ url, pid } = JSON.parse(written) as { url: unknown; pid: unknown })
    const ready = await fetch(`${url}/ready`, { signal: AbortSignal.timeout(3_000) })
    return {
      good: ready.ok,
      text: `server at ${url} (process ${pid}) is ${ready.ok ? 'ready' : 'not ready'}`,
      hint: `curl ${url}/ready says why.`,
    }
  } catch {
    return {
      good: false,
      text: `server.json names ${url ?? 'no address'}, but nothing answers there`,
      hint: 'The server was killed or hangs; the next start recovers by itself.',
    }
  }
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

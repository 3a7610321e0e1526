/** The program as a person or a script meets it: help, exit codes, and words that say what to do. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SETTINGS } from '../../packages/pipeline/src/entrypoints/config.ts'
import {
  millrace,
  readCredentials,
  type Server,
  startServer,
  stopAll,
  stopped,
} from '../support/server.mjs'

const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
let server: Server

beforeAll(async () => {
  server = await startServer(join(folder, 'data'))
})
afterAll(async () => {
  await stopped(server)
  await stopAll()
  rmSync(folder, { recursive: true })
})

/** The names below `Commands:`. */
const commandsOf = (help: string) =>
  [...(/^Commands:\n((?: {2}.*\n)+)/m.exec(help)?.[1] ?? '').matchAll(/^ {2}([a-z-]+)/gm)]
    .map(([, name]) => name!)
    .filter((name) => name !== 'help')

test('every command explains itself within 100 columns', async () => {
  const seen: string[] = []
  const waiting: string[][] = [[]]
  while (waiting.length > 0) {
    const level = waiting.splice(0)
    const answers = await Promise.all(level.map((path) => millrace([...path, '--help'])))
    for (const [at, { code, stdout, stderr }] of answers.entries()) {
      const name = level[at]!.join(' ')
      expect([name, code, stderr]).toEqual([name, 0, ''])
      expect(stdout).toMatch(/^Usage: millrace/)
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
      seen.push(name)
      waiting.push(...commandsOf(stdout).map((command) => [...level[at]!, command]))
    }
  }
  for (const name of ['start', 'demo', 'sql', 'tenant create', 'source allow', 'import', 'doctor'])
    expect(seen).toContain(name)
})

test('the version is that of the package', async () => {
  const manifest = new URL('../../packages/pipeline/package.json', import.meta.url)
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'))
  expect(await millrace(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
})

describe('a start', () => {
  const start = (...flags: string[]) =>
    millrace(['start', '--data', join(folder, 'other'), '--port', '0', ...flags])

  test('on a port that is taken says so', async () => {
    const port = new URL(server.url).port
    const { code, stderr } = await start('--port', port, '--log-level', 'warn')
    expect(code).toBe(8)
    expect(stderr).toMatch(new RegExp(`^error: port ${port} .*in use\nhint: .*--port.*\n$`))
  })

  const BAD: Record<string, string> = {
    '--port': '65536',
    '--host': 'not a host',
    '--lake-bucket': 'Upper_Case',
    '--public-url': 'example.com',
    '--log-level': 'loud',
    '--segment-mib': '0',
    '--log-keep-hours': '-1',
    '--disk-reserve-mib': '-1',
    '--flush-mib': '1e9',
    '--data': '',
    '--key-requests-per-second': '-1',
    '--key-mib-per-second': 'x',
    '--tenant-requests-per-second': '1.5',
    '--tenant-mib-per-second': '-1',
    '--server-requests-per-second': 'all',
    '--server-mib-per-second': '1e3',
    '--max-connections': '0',
    '--max-connections-per-address': '0',
    '--trusted-proxies': 'proxy.example',
    '--tls-cert': '',
    '--tls-key': '',
    '--lag-limit-minutes': '-1',
    '--pending-limit-mib': 'x',
  }
  test('has a bad value here for every setting', () => {
    expect(Object.keys(BAD).sort()).toEqual(SETTINGS.map(({ flag }) => flag.split(' ')[0]).sort())
  })
  test.each(Object.entries(BAD))('with %s "%s" names what is allowed', async (flag, value) => {
    const { allowed } = SETTINGS.find((setting) => setting.flag.startsWith(`${flag} `))!
    const { code, stdout, stderr } = await start(`${flag}=${value}`)
    expect(stderr.split('\n')[0]).toBe(`error: ${flag} is "${value}", allowed: ${allowed}`)
    expect([code, stdout]).toEqual([2, ''])
  })

  test('with a file of settings names the member that is wrong', async () => {
    const file = join(folder, 'settings.yaml')
    for (const [text, says] of [
      ['prot: 1', '"prot" is no setting'],
      ['segmentMib: 9999', 'segmentMib is "9999", allowed: 1 to 1024'],
      ['- 1', 'members of one mapping'],
      ['a: [', 'settings.yaml'],
    ] as const) {
      writeFileSync(file, text)
      const { code, stderr } = await start('--config', file)
      expect([code, stderr]).toEqual([2, expect.stringContaining(says)])
    }
    const { code } = await start('--config', join(folder, 'not-there.yaml'))
    expect(code).toBe(2)
  })

  test('with a flag that is none, or a command that is none, is a usage error', async () => {
    for (const flags of [['start', '--prot', '1'], ['strat'], ['tenant', 'create'], ['sql']]) {
      const { code, stderr } = await millrace(flags)
      expect([flags, code]).toEqual([flags, 2])
      expect(stderr).toMatch(/^error: /)
    }
  })
})

describe('a command', () => {
  test('without a server says that none runs', async () => {
    mkdirSync(join(folder, 'empty'))
    for (const flags of [
      ['sql', 'select 1'],
      ['tenant', 'list'],
      ['import', 'x.ndjson'],
    ]) {
      const { code, stderr } = await millrace([...flags, '--data', join(folder, 'empty')])
      expect([flags, code]).toEqual([flags, 9])
      expect(stderr).toMatch(/^error: no server runs on [^\n]+\nhint: [^\n]+\n$/)
    }
  })

  test('says what the server said, and ends with 1', async () => {
    const at = ['--data', server.data]
    for (const [flags, says] of [
      [['sql', 'select * from nothing_here', ...at], 'nothing_here'],
      [['sql', 'drop table events', ...at], 'SELECT'],
      [['tenant', 'create', 'Not A Name', ...at], 'tenantId'],
      [['source', 'allow', 'nowhere', 'https://a.example', ...at], 'no such source'],
      [
        ['client', 'create', 'c', '--scopes', 'everything', ...at],
        'scopes/0 is not one of events:write',
      ],
    ] as const) {
      const { code, stdout, stderr } = await millrace(flags)
      expect([flags, code, stdout]).toEqual([flags, 1, ''])
      expect(stderr).toMatch(/^error: [^\n]+\nhint: [^\n]+\n$/)
      expect(stderr).toContain(says)
    }
  })

  test('lists sources with the snippet for the pages of the first', async () => {
    const { writeKey } = readCredentials(server.data)
    const { stdout } = await millrace(['source', 'list', '--data', server.data])
    expect(stdout).toMatch(/^name +writeKey +origins +created\n/)
    expect(stdout).toMatch(new RegExp(`^web +${writeKey} +any +\\d{4}-\\d\\d-\\d\\dT`, 'm'))
    expect(stdout).toContain(
      `\n  <script async src="${server.url}/m.js" data-key="${writeKey}"></script>\n`,
    )
  })

  test('prints rows as a table, as JSON and as CSV', async () => {
    const sql = ['sql', `select 1 as one, 'x' as two`, '--data', server.data]
    expect((await millrace(sql)).stdout).toMatch(/one.*two[\s\S]*1.*x/)
    expect((await millrace([...sql, '--format', 'csv'])).stdout).toMatch(/^one,two\r?\n1,x\r?\n$/)
    expect(JSON.parse((await millrace([...sql, '--format', 'json'])).stdout)).toBeTruthy()
    expect((await millrace([...sql, '--format', 'xml'])).code).toBe(2)
  })
})

/**
 * `millrace import`: whatever is killed in the middle, and however often it is run, every line of the
 * file is in SQL once.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  millrace,
  PROGRAM,
  readCredentials,
  type Server,
  sqlRows,
  startServer,
  stopAll,
  stopped,
} from '../support/server.mjs'

const LINES = 20_000
const VISITORS = 7
const folder = mkdtempSync(join(tmpdir(), 'millrace-import-'))
const data = join(folder, 'data')
let server: Server

beforeAll(async () => {
  server = await startServer(data)
})
afterAll(async () => {
  await stopped(server)
  expect(server.output()).not.toContain('a fault of ours')
  await stopAll()
  rmSync(folder, { recursive: true })
})

/** A file of the article's events of 2019; `name` is in every line, so that no two files are alike. */
function write(
  name: string,
  more: (line: number) => string | undefined = () => undefined,
  lineCount = LINES,
) {
  const file = join(folder, `${name}.ndjson`)
  const lines = Array.from({ length: lineCount }, (_, at) => more(at + 1) ?? line(name, at))
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

function line(name: string, at: number): string {
  return JSON.stringify({
    eventType: 'click',
    browser: 'Gecko/70.0',
    timestamp: new Date(Date.UTC(2019, 10, 15) + at * 1_000).toISOString().replace('T', ' '),
    path: `/${name}`,
    target: '#buy',
    visitorId: `v-${at % VISITORS}`,
    data: { at },
  })
}

const countsOf = (name: string) =>
  sqlRows(
    server.url,
    readCredentials(data),
    `select visitor_id, count(*), count(distinct data->>'at') from events where path = '/${name}'
     group by 1 order by 1`,
  )

const WHOLE = Array.from({ length: VISITORS }, (_, visitor) => {
  const count = Math.ceil((LINES - visitor) / VISITORS)
  return [`v-${visitor}`, count, count]
})

const importing = (file: string) => ['import', file, '--data', data]

function inBackground(file: string): { child: ChildProcess; ended: Promise<[number, string]> } {
  const child = spawn(process.execPath, [PROGRAM, ...importing(file)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr!.on('data', (part) => {
    stderr += part
  })
  const ended = new Promise<[number, string]>((resolve) =>
    child.once('close', (code) => resolve([code ?? -1, stderr])),
  )
  return { child, ended }
}

/** The state beside the file is there after the first acknowledged batch, and gone at the end. */
async function begun(file: string): Promise<void> {
  while (!existsSync(`${file}.import-state.json`))
    await new Promise((resolve) => setTimeout(resolve, 1))
}

test('a file is in SQL line by line, at its own times, and a second import takes nothing', async () => {
  const file = write('plain')
  const first = await millrace(importing(file))
  expect(first).toMatchObject({ code: 0, stdout: '' })
  // Progress, then the account.
  expect(first.stderr).toMatch(/^[█░]+ +\d+ % {2}[\d,]+ events, \d+ MiB\/s\n/)
  expect(first.stderr).toMatch(/20,000 accepted in [\d.]+ s\n$/)
  expect(await countsOf('plain')).toEqual(WHOLE)
  const [times] = await sqlRows(
    server.url,
    readCredentials(data),
    `select epoch_ms(min(event_time)), epoch_ms(max(event_time)), bool_or(clock_suspect)
     from events where path = '/plain'`,
  )
  expect(times).toEqual([
    Date.UTC(2019, 10, 15),
    Date.UTC(2019, 10, 15) + (LINES - 1) * 1_000,
    false,
  ])

  const second = await millrace(importing(file))
  expect(second.code).toBe(0)
  expect(second.stderr).toMatch(/0 accepted, 20,000 were there already in [\d.]+ s\n$/)
  expect(await countsOf('plain')).toEqual(WHOLE)
  expect(existsSync(`${file}.import-state.json`)).toBe(false)
})

test('an import that is killed goes on where it was, and nothing is there twice', async () => {
  const file = write('killed')
  const first = inBackground(file)
  await begun(file)
  first.child.kill('SIGKILL')
  await first.ended
  expect(existsSync(`${file}.import-state.json`)).toBe(true)
  const before = (await countsOf('killed')).reduce((sum, [, count]) => sum + count, 0)
  expect(before).toBeGreaterThan(0)
  expect(before).toBeLessThan(LINES)
  const { code } = await millrace(importing(file))
  expect(code).toBe(0)
  expect(await countsOf('killed')).toEqual(WHOLE)
})

test('an import outlives the server that is killed under it', async () => {
  const file = write('server-killed')
  const { ended } = inBackground(file)
  await begun(file)
  const port = new URL(server.url).port
  await stopped(server, 'SIGKILL')
  expect(existsSync(`${file}.import-state.json`)).toBe(true)
  server = await startServer(data, { flags: ['--port', port] })
  const [code, stderr] = await ended
  expect([code, stderr]).toEqual([0, expect.stringMatching(/accepted/)])
  expect(await countsOf('server-killed')).toEqual(WHOLE)
})

test('broken lines are named, and the rest is imported', async () => {
  // The lines of a batch with a broken one go singly, so a few batches are enough.
  const lineCount = 1_020
  const broken = new Map([
    [3, '{"eventType":'],
    [7, 'click'],
    [lineCount, `${line('broken', lineCount)}}`],
  ])
  const file = write('broken', (number) => broken.get(number), lineCount)
  for (const account of [/^1,017 accepted, /m, /^0 accepted, 1,017 were there already, /m]) {
    const { code, stderr } = await millrace(importing(file))
    expect(code).toBe(1)
    expect(stderr).toMatch(account)
    expect(stderr).toMatch(/3 lines are not JSON.*: 3, 7, 1020 in /)
    const counts = await countsOf('broken')
    expect(counts.reduce((sum, [, count]) => sum + count, 0)).toBe(lineCount - 3)
    expect(counts.every(([, count, distinct]) => count === distinct)).toBe(true)
  }
})

test('what is JSON and no event is refused line by line and can be asked for', async () => {
  const file = write('refused', (number) => (number % 4_000 === 0 ? '{"a":1}' : undefined))
  const { code, stderr } = await millrace(importing(file))
  expect([code, stderr]).toEqual([0, expect.stringMatching(/19,995 accepted, 5 refused /)])
  expect(
    await sqlRows(server.url, readCredentials(data), `select distinct raw from rejections`),
  ).toEqual([['{"a":1}']])
})

test('a file without a last newline, with empty lines or of nothing is no trouble', async () => {
  const small = join(folder, 'small.ndjson')
  for (const [text, accepted] of [
    [`${line('small', 1)}\n\n  \r\n${line('small', 2)}`, 2],
    [`${line('small', 3)}\r\n`, 1],
    ['', 0],
    ['\n\n', 0],
  ] as const) {
    writeFileSync(small, text)
    const { code, stderr } = await millrace(importing(small))
    expect([text, code]).toEqual([text, 0])
    expect(stderr).toMatch(new RegExp(`(^|\\n)${accepted} accepted in`))
  }
  const missing = await millrace(importing(join(folder, 'missing.ndjson')))
  expect([missing.code, missing.stderr]).toEqual([
    2,
    expect.stringMatching(/missing\.ndjson.*ENOENT/),
  ])
})

/** What a person meets at the terminal: the built program, as npm links it. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

const PROGRAM = fileURLToPath(new URL('../../bin/millrace.js', import.meta.url))
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function run(line: readonly string[], shell?: string): Promise<{ code: number; said: string }> {
  const [file, given] =
    shell === undefined
      ? [process.execPath, [PROGRAM, ...line]]
      : ['bash', ['--norc', '-c', shell, process.execPath, PROGRAM, ...line]]
  return new Promise((resolve) => {
    execFile(file, given, { cwd: folder, env: { PATH: process.env.PATH } }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), said: out + err }),
    )
  })
}

test.each([
  [['sql', 'select', '1'], 2, 'the statement came as 2 words'],
  [['sql', ' '], 2, 'the statement is empty'],
  [['sql', 'select 1', '--format', 'xml'], 2, '--format is "xml", allowed: table, json, csv'],
  [['sql', 'select 1', '--max-rows', '0'], 2, '--max-rows is "0", allowed: 1 to 10000'],
  [['sql', 'select 1'], 9, 'no server runs on millrace-data or millrace-demo here'],
  [['sql', 'select 1', '--data', 'nope'], 9, 'there is no folder nope'],
  [['sql', 'select 1', '--url', 'foo'], 2, 'the address is "foo", allowed: http(s)://host[:port]'],
  [['start', '--porrt', '1'], 2, 'Did you mean --port?'],
  [['start', '--port', 'x'], 2, '--port is "x", allowed: 0 to 65535'],
  [['frobnicate'], 2, "unknown command 'frobnicate'"],
  [['--version'], 0, '0.'],
])('millrace %j ends with %i and says: %s', async (line, code, said) => {
  const ended = await run(line)
  expect(ended).toEqual({ code, said: expect.stringContaining(said) })
  expect(ended.said).not.toMatch(/^\s+at /m)
  if (code !== 0) expect(ended.said).toMatch(/^hint: |--help/m)
})

test('doctor is content with a folder that is not there, and names what is wrong with another', async () => {
  expect((await run(['doctor', '--data', 'nope'])).said).toContain('the first start makes it')
  writeFileSync(join(folder, 'millrace.json'), 'null')
  writeFileSync(join(folder, 'server.json'), '{')
  const { code, said } = await run(['doctor', '--data', folder])
  expect(code).toBe(1)
  expect(said).toMatch(/^BAD {2}.*millrace\.json does not say format and bucket$/m)
  expect(said).toMatch(/^BAD {2}server\.json names no address/m)
})

test('a reader that has enough is no error, and what a server says steers no terminal', async () => {
  // A server of somebody else: the least that the CLI needs.
  const server = createServer((request, response) => {
    if (request.url === '/oauth/token') return response.end('{"access_token":"t"}')
    if (request.headers.accept === 'text/csv') return response.end('line\n'.repeat(200_000))
    response.statusCode = 400
    response.end(JSON.stringify({ title: 'No', detail: 'a\u001b[31mb' }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const line = ['sql', 'select 1', '--url', url, '--client-id', 'c', '--client-secret', 's']
  try {
    const piped = await run([...line, '--format', 'csv'], '"$0" "$@" | head -1; exit $PIPESTATUS')
    expect(piped).toEqual({ code: 0, said: 'line\n' })
    const refused = await run(line)
    expect(refused.said).toContain('error: No: a·[31mb')
    expect(refused.code).toBe(1)
  } finally {
    server.close()
  }
})

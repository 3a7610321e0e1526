/**
 * A data folder that is in use, full, foreign or newer: the start says in one sentence what is wrong, ends
 * with the code for it, and changes nothing. One whose log is damaged starts, and serves the rest.
 */
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  millrace,
  readCredentials,
  type Server,
  send,
  sqlRows,
  startServer,
  stopAll,
  stopped,
} from '../support/server.mjs'

const GOLDEN = fileURLToPath(new URL('../golden/log-v1', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'millrace-folder-'))
/** A folder with three segments, written by a server that was stopped; each test takes a copy. */
const written = join(folder, 'written')
const BATCHES = 60
const EVENTS_PER_BATCH = 100

beforeAll(async () => {
  const server = await startServer(written, { flags: ['--segment-mib', '1'] })
  for (let number = 0; number < BATCHES; number++)
    expect((await post(server, number)).status).toBe(202)
  expect(await stopped(server)).toBe(0)
})
afterAll(async () => {
  await stopAll()
  rmSync(folder, { recursive: true })
})

/** About 45 KiB. */
function post({ url, data }: Server, number: number) {
  const events = Array.from({ length: EVENTS_PER_BATCH }, (_, seq) => ({
    eventType: 'click',
    timestamp: Date.now(),
    path: '/',
    target: 't'.repeat(350),
    seq,
  }))
  return send(`${url}/v1/events?key=${readCredentials(data).writeKey}`, {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ batchId: `b-${number}`, events }),
  })
}

const countOf = async ({ url, data }: Server, sql = 'select count(*) from events') =>
  (await sqlRows(url, readCredentials(data), sql))[0]![0]

function copyOf(name: string): string {
  const data = join(folder, name)
  cpSync(written, data, { recursive: true })
  // Some versions of Node copy a folder without its mode; the server would mend it, and say so.
  chmodSync(join(data, 'keys'), 0o700)
  return data
}

/** Every name with a hash of its bytes. */
function contents(path: string): Record<string, string> {
  const names = (readdirSync(path, { recursive: true }) as string[]).sort()
  return Object.fromEntries(
    names.map((name) => {
      const isFolder = statSync(join(path, name)).isDirectory()
      const bytes = isFolder ? 'folder' : readFileSync(join(path, name))
      return [name, createHash('sha256').update(bytes).digest('hex')]
    }),
  )
}

/** A start that must fail: its code, and what it says, which is one sentence and a hint. */
async function failedStart(data: string, ...flags: string[]) {
  const { code, stdout, stderr } = await millrace([
    ...['start', '--data', data, '--port', '0', '--log-level', 'warn'],
    ...flags,
  ])
  expect(stdout).toBe('')
  expect(stderr).toMatch(/^error: [^\n]+\nhint: [^\n]+\n$/)
  return { code, says: stderr.slice('error: '.length).split('\n')[0]! }
}

const segmentsOf = (data: string) =>
  readdirSync(join(data, 'log'))
    .filter((name) => name.endsWith('.ndjson'))
    .sort()
    .map((name) => join(data, 'log', name))

/** Turns one bit in the middle of a file. */
function damage(path: string): void {
  const bytes = readFileSync(path)
  const at = bytes.length >> 1
  bytes[at] = bytes[at]! ^ 1
  writeFileSync(path, bytes)
}

describe('a folder', () => {
  test('in use is refused to a second server, and the first is unharmed', async () => {
    const first = await startServer(copyOf('in-use'))
    const { code, says } = await failedStart(first.data)
    expect(code).toBe(3)
    expect(says).toContain(first.data)
    expect(says).toContain(String(first.child.pid))
    expect((await post(first, 1_000)).status).toBe(202)
    expect(await countOf(first)).toBe((BATCHES + 1) * EVENTS_PER_BATCH)
    expect(await stopped(first)).toBe(0)
  })

  test('that was killed is free again at once', async () => {
    const first = await startServer(copyOf('killed'))
    await stopped(first, 'SIGKILL')
    const second = await startServer(first.data)
    expect(await countOf(second)).toBe(BATCHES * EVENTS_PER_BATCH)
    await stopped(second)
  })

  test('that is a file, or below one, cannot be used', async () => {
    const file = join(folder, 'a-file')
    writeFileSync(file, 'mine')
    for (const path of [file, join(file, 'below')]) {
      const { code, says } = await failedStart(path)
      expect(code).toBe(4)
      expect(says).toContain(path)
    }
    expect(readFileSync(file, 'utf8')).toBe('mine')
  })

  test('of a later format is left as it is', async () => {
    const data = copyOf('newer')
    const marker = JSON.parse(readFileSync(join(data, 'millrace.json'), 'utf8'))
    writeFileSync(join(data, 'millrace.json'), JSON.stringify({ ...marker, format: 99 }))
    const before = contents(data)
    const { code, says } = await failedStart(data)
    expect(code).toBe(5)
    expect(says).toMatch(/format 99.*\b1\b/)
    expect(contents(data)).toEqual(before)
  })

  test('whose log is of a later version is left as it is', async () => {
    const data = copyOf('newer-log')
    const [, , last] = segmentsOf(data)
    const text = readFileSync(last!, 'latin1')
    writeFileSync(last!, text.replace('"version":1', '"version":2,"later":1'), 'latin1')
    const before = contents(join(data, 'log'))
    expect(await failedStart(data)).toMatchObject({ code: 5 })
    expect(contents(join(data, 'log'))).toEqual(before)
  })

  test('without its marker beside a log is nobody else’s to start over', async () => {
    const data = copyOf('no-marker')
    rmSync(join(data, 'millrace.json'))
    const before = contents(data)
    const { code, says } = await failedStart(data)
    expect([code, says]).toEqual([6, expect.stringContaining('millrace.json is missing')])
    expect(contents(data)).toEqual(before)
  })

  test('with another bucket than the one asked for is refused', async () => {
    const { code, says } = await failedStart(copyOf('bucket'), '--lake-bucket', 'not-mine')
    expect([code, says]).toEqual([2, expect.stringContaining('not-mine')])
  })

  test('that is lent to nobody holds no secret others can read', () => {
    for (const name of ['credentials.json', ...readdirSync(join(written, 'keys'))]) {
      const path = existsSync(join(written, name))
        ? join(written, name)
        : join(written, 'keys', name)
      expect([name, (statSync(path).mode & 0o077).toString(8)]).toEqual([name, '0'])
    }
  })
})

describe('a log', () => {
  test.each([
    ['the open segment', 2, 1, (data: string) => damage(segmentsOf(data).at(-1)!)],
    [
      'a sealed segment without its sidecar',
      0,
      1,
      (data: string) => {
        damage(segmentsOf(data)[0]!)
        rmSync(segmentsOf(data)[0]!.replace('.ndjson', '.index'))
      },
    ],
    ['a sealed segment', 0, 1, (data: string) => damage(segmentsOf(data)[0]!)],
    [
      'the row of segments',
      1,
      25,
      (data: string) => {
        expect(readFileSync(segmentsOf(data)[1]!, 'latin1').split('\n')).toHaveLength(25 + 2)
        rmSync(segmentsOf(data)[1]!)
      },
    ],
  ])(
    'damaged in %s is served without what is damaged, and says so',
    async (what, segment, records, harm) => {
      const data = copyOf(`damaged ${what}`)
      harm(data)
      const before = contents(join(data, 'log'))
      const lost = records * EVENTS_PER_BATCH
      const server = await startServer(data)
      expect(await countOf(server)).toBe(BATCHES * EVENTS_PER_BATCH - lost)
      expect((await post(server, 2_000)).status).toBe(202)
      expect(await countOf(server)).toBe((BATCHES + 1) * EVENTS_PER_BATCH - lost)
      const ready = await send(`${server.url}/ready`, { method: 'GET' })
      expect(ready.status).toBe(200)
      const metrics = (await send(`${server.url}/metrics`, { method: 'GET' })).text
      expect(metrics).toContain(`millrace_log_damaged_records ${records}\n`)
      expect(metrics).toContain('millrace_log_quarantined_segments 1\n')
      const told = server
        .output()
        .split('\n')
        .filter((line) => line.includes('"damage"'))
      expect(told).toHaveLength(1)
      expect(JSON.parse(told[0]!)).toMatchObject({
        level: 50,
        damage: { segment, recordCount: records },
      })
      expect(await stopped(server)).toBe(0)
      // Nothing that was there is gone or changed, but the segment that went on.
      const after = contents(join(data, 'log'))
      for (const [name, hash] of Object.entries(before)) {
        const isOpen = name === '0000000000000002.ndjson' && segment !== 2
        if (!isOpen && name !== 'epoch') expect([name, after[name]]).toEqual([name, hash])
      }
    },
  )

  test.each([
    ['half a record', Buffer.from('{"o":60,"t":1,"s":1,"r":17')],
    ['zeros', Buffer.alloc(4_096)],
    ['garbage with line ends', Buffer.from('x\n\n{"o":60}\n\xff\n', 'latin1')],
  ])('with a tail of %s is mended without a word', async (what, tail) => {
    const data = copyOf(`torn ${what}`)
    const last = segmentsOf(data).at(-1)!
    const whole = readFileSync(last)
    appendFileSync(last, tail)
    const server = await startServer(data)
    expect(readFileSync(last).equals(whole)).toBe(true)
    expect(server.output().trim().split('\n')).toHaveLength(1)
    expect(await countOf(server)).toBe(BATCHES * EVENTS_PER_BATCH)
    expect((await post(server, 3_000)).body).toMatchObject({ duplicate: false })
    expect(await countOf(server)).toBe((BATCHES + 1) * EVENTS_PER_BATCH)
    await stopped(server)
  })

  test('without its sidecars, tails and spool is whole', async () => {
    const data = copyOf('derived')
    for (const name of readdirSync(join(data, 'log')).filter((name) => name.endsWith('.index')))
      rmSync(join(data, 'log', name))
    for (const name of ['tails', 'spool'])
      rmSync(join(data, name), { recursive: true, force: true })
    const server = await startServer(data)
    expect(await countOf(server)).toBe(BATCHES * EVENTS_PER_BATCH)
    expect((await post(server, 7)).body.duplicate).toBe(true)
    await stopped(server)
  })

  test('that the first version wrote opens, and its events are in SQL', async () => {
    const data = join(folder, 'golden')
    const first = await startServer(data)
    for (const name of ['second', 'third'])
      expect((await millrace(['source', 'create', name, '--data', data])).code).toBe(0)
    await stopped(first)
    rmSync(join(data, 'log'), { recursive: true })
    cpSync(GOLDEN, join(data, 'log'), { recursive: true })
    const server = await startServer(data)
    expect(
      await sqlRows(
        server.url,
        readCredentials(data),
        'select batch_id, event_index, event_type, path, target from events order by 1, 2',
      ),
    ).toEqual(
      [0, 2, 4].flatMap((turn) => [
        [`batch-${turn}`, 0, 'click', '/café', '#buy'],
        [`batch-${turn}`, turn === 2 ? 2 : 1, 'mousemove', '/café', '#buy'],
      ]),
    )
    expect(await countOf(server, 'select count(*) from rejections')).toBe(1)
    await stopped(server)
  })
})

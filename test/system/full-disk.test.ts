/**
 * A disk that fills up while events come: what was acknowledged stays, what has no room is told so, and
 * the server takes events again as soon as there is room.
 *
 * Needs a small file system of its own, which only root may mount.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
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

const MIB = 1_048_576
const folder = mkdtempSync(join(tmpdir(), 'millrace-full-'))
const disk = join(folder, 'disk')
const mounted = mountSmallDisk()
if (!mounted) console.warn('skipped: a full disk needs the right to mount a tmpfs.')

afterAll(async () => {
  await stopAll()
  if (mounted) execFileSync('umount', [disk])
  rmSync(folder, { recursive: true })
})

function mountSmallDisk(): boolean {
  mkdirSync(disk)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const EVENTS_PER_BATCH = 50
/** The disk is smaller than what is kept free by default: here its very end is the subject. */
const NO_RESERVE = ['--segment-mib', '1', '--disk-reserve-mib', '0']

function post({ url, data }: Server, batchId: string) {
  const events = Array.from({ length: EVENTS_PER_BATCH }, (_, seq) => ({
    eventType: 'click',
    timestamp: Date.now(),
    path: '/',
    target: 't'.repeat(500),
    seq,
  }))
  return send(`${url}/v1/events?key=${readCredentials(data).writeKey}`, {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ batchId, events }),
  })
}

const batchesIn = async ({ url, data }: Server) =>
  (
    await sqlRows(
      url,
      readCredentials(data),
      'select batch_id, count(*), count(distinct event_index) from events group by 1',
    )
  ).map(([id, rows, indexes]) => {
    expect([id, rows, indexes]).toEqual([id, EVENTS_PER_BATCH, EVENTS_PER_BATCH])
    return id as string
  })

describe.skipIf(!mounted)('on a full disk', () => {
  test('events are refused until there is room, and no acknowledged one is lost', async () => {
    const data = join(disk, 'data')
    const server = await startServer(data, { flags: NO_RESERVE })
    const ballast = join(disk, 'ballast')
    writeFileSync(ballast, Buffer.alloc(4 * MIB))
    const acknowledged: string[] = []
    let refused = 0
    // Some at once, so that a group commit with several batches meets the end of the disk.
    for (let round = 0; refused < 12; round++) {
      expect(round).toBeLessThan(200)
      const ids = [0, 1, 2, 3].map((at) => `full-${round}-${at}`)
      const answers = await Promise.all(ids.map((id) => post(server, id)))
      for (const [at, { status, headers, body }] of answers.entries()) {
        if (status === 202) {
          acknowledged.push(ids[at]!)
          continue
        }
        refused++
        expect([status, body.code]).toEqual([503, 'disk_full'])
        expect(headers['content-type']).toBe('application/problem+json')
        expect(Number(headers['retry-after'])).toBeGreaterThan(0)
      }
    }
    expect(acknowledged.length).toBeGreaterThan(20)
    const health = await send(`${server.url}/health`, { method: 'GET' })
    expect(health.status).toBe(200)

    rmSync(ballast)
    for (const id of ['after-1', 'after-2']) {
      expect((await post(server, id)).status).toBe(202)
      acknowledged.push(id)
    }
    expect((await post(server, acknowledged[0]!)).body.duplicate).toBe(true)
    expect((await batchesIn(server)).sort()).toEqual([...acknowledged].sort())
    expect(await stopped(server)).toBe(0)

    const again = await startServer(data, { flags: NO_RESERVE })
    expect((await batchesIn(again)).sort()).toEqual([...acknowledged].sort())
    expect(await stopped(again)).toBe(0)
  })

  test('a first start says so in one sentence', async () => {
    const room = join(disk, 'ballast')
    fill(room)
    const data = join(disk, 'new')
    const { code, stderr } = await millrace(['start', '--data', data, '--port', '0'])
    expect(stderr).toMatch(/^error: [^\n]+\nhint: [^\n]+\n$/)
    expect(code).toBe(7)
    rmSync(room)
    const server = await startServer(data, { flags: NO_RESERVE })
    expect((await post(server, 'new')).status).toBe(202)
    await stopped(server)
  })
})

/** Takes all that is left. */
function fill(path: string): void {
  for (let bytes = 8 * MIB; bytes >= 1; bytes >>= 1) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(bytes), { flag: 'a' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }
}

/**
 * How a server ends: asked to, with clients that do not let go; and when its disk fails, so that a
 * supervisor starts it again.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import {
  bearerToken,
  readCredentials,
  type Server,
  send,
  sqlRows,
  startServer,
  stopAll,
  stopped,
  watchLive,
} from '../support/server.mjs'

const folder = mkdtempSync(join(tmpdir(), 'millrace-stop-'))
afterAll(async () => {
  await stopAll()
  rmSync(folder, { recursive: true })
})

const event = { eventType: 'click', timestamp: 1_574_000_000_000, path: '/' }
function post({ url, data }: Server, batchId: string) {
  return send(`${url}/v1/events?key=${readCredentials(data).writeKey}`, {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ batchId, events: [event] }),
  })
}

const idsIn = async ({ url, data }: Server) =>
  (await sqlRows(url, readCredentials(data), 'select batch_id from events order by 1')).flat()

test('asked to stop twice, with watchers and slow senders: all that was accepted is there', async () => {
  const server = await startServer(join(folder, 'stop'))
  const token = await bearerToken(server.url, readCredentials(server.data))
  const live = await watchLive(server.url, token)
  const { hostname, port } = new URL(server.url)
  // One that never sends its body, and one that never reads or says anything.
  const slow = connect(Number(port), hostname).on('error', () => {})
  slow.write('POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{')
  const silent = connect(Number(port), hostname).on('error', () => {})
  const accepted: string[] = []
  const sending = Promise.allSettled(
    Array.from({ length: 400 }, async (_, turn) => {
      const { status } = await post(server, `b-${String(turn).padStart(3, '0')}`)
      if (status === 202) accepted.push(`b-${String(turn).padStart(3, '0')}`)
    }),
  )
  while (accepted.length < 20) await new Promise((resolve) => setTimeout(resolve, 1))
  const startedMs = performance.now()
  const ending = stopped(server)
  setTimeout(() => server.child.kill('SIGTERM'), 50)
  expect(await ending).toBe(0)
  // It is killed with exit code 1 at ten seconds: what was measured is only told.
  console.info(`ended ${Math.round(performance.now() - startedMs)} ms after the first SIGTERM`)
  await sending
  for (const socket of [slow, silent]) socket.destroy()
  live.close()
  await expect(post(server, 'late')).rejects.toThrow()

  const again = await startServer(server.data)
  expect(await idsIn(again)).toEqual(expect.arrayContaining(accepted))
  expect(again.output()).not.toContain('torn')
  await stopped(again)
})

const canTrace = (() => {
  try {
    execFileSync('strace', ['-qq', '-o', '/dev/null', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()
if (!canTrace) console.warn('skipped: a disk that fails needs strace.')

describe.skipIf(!canTrace)('a disk that fails at a sync', () => {
  test.each(['EIO', 'ENOSPC'])(
    '%s: nothing more is acknowledged, the process ends with 70, and the next finds what was',
    async (errno) => {
      const data = join(folder, `fence-${errno}`)
      const first = await startServer(data)
      expect((await post(first, 'before')).status).toBe(202)
      await stopped(first)
      const segment = join(data, 'log', '0000000000000000.ndjson')
      const inject = `inject=fdatasync:error=${errno}:when=3+`
      // Calls are counted thread by thread, so there is one; the server is the child, not its tracer.
      const strace = ['strace', '-D', '-f', '-qq', '-o', '/dev/null', '-P', segment, '-e', inject]
      const under = ['env', 'UV_THREADPOOL_SIZE=1', ...strace, '--']
      const server = await startServer(data, { under })
      const ended = new Promise((resolve) => server.child.once('close', resolve))
      expect((await post(server, 'kept')).status).toBe(202)
      const { status, body } = await post(server, 'refused')
      expect([status, body.code]).toEqual([503, 'unavailable'])
      expect(await ended).toBe(70)
      expect(server.output()).toMatch(/^error: the log stopped: sync failed[^\n]*\nhint: The disk/m)
      const again = await startServer(data)
      expect(await idsIn(again)).toEqual(expect.arrayContaining(['before', 'kept']))
      expect((await post(again, 'after')).body).toMatchObject({ duplicate: false })
      await stopped(again)
    },
  )
})

/**
 * The machine around the server: clocks that jump, too few file descriptors, files that may not grow, a
 * folder that may not be written, little memory. No acknowledged event is lost to any of them.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { pause } from '../support/producers.mjs'
import { millrace, readCredentials, sqlRows, stopAll, stopped } from '../support/server.mjs'
import { straceWorks, underStrace } from '../support/strace.mjs'
import { Rig } from './rig.ts'

// Each starts several servers under strace; a busy machine takes its time, and may.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const MIB = 1_048_576
const FAKETIME = faketimeLibrary()
const MEMORY = '/sys/fs/cgroup/memory/millrace-test'
const hasMemoryLimit = makeMemoryLimit()
const canTrace = straceWorks()
const hasPrlimit = runs('prlimit', '--version')
if (FAKETIME === undefined) console.warn('skipped: jumps of the clock need libfaketime.')
if (!hasMemoryLimit) {
  console.warn(
    'skipped: a limit of memory needs a cgroup of its own; ulimit -v would stop WebAssembly.',
  )
}

let rig: Rig
beforeAll(async () => {
  rig = await Rig.make()
})
afterEach(stopAll)
afterAll(async () => {
  await rig.remove()
  if (hasMemoryLimit) rmdirSync(MEMORY)
})

const statusesOf = async (answers: Promise<readonly { status: number }[]>) =>
  (await answers).map(({ status }) => status)

test.skipIf(FAKETIME === undefined)('clocks that jump lose no event and stop nobody', async () => {
  const jumps = join(rig.folder, 'jumps')
  writeFileSync(jumps, '+0')
  const server = await rig.start([
    ...['env', `LD_PRELOAD=${FAKETIME}`, 'FAKETIME_NO_CACHE=1', 'FAKETIME_DONT_FAKE_MONOTONIC=1'],
    `FAKETIME_TIMESTAMP_FILE=${jumps}`,
  ])
  for (const jump of ['+0', '-1h', '+1h', '+3650d', '+0', '+0 x10']) {
    writeFileSync(jumps, jump)
    expect([jump, await statusesOf(rig.send(server, 3))]).toEqual([jump, [202, 202, 202]])
    // A new token each time: its life counts in the clock of now.
    await rig.expectAllBySql(server)
  }
  const later = `select count(*) from events where received_at > '2030-01-01'`
  expect(await sqlRows(server.url, readCredentials(rig.data), later)).not.toEqual([[0]])
  expect(await stopped(server)).toBe(0)
})

test.skipIf(!hasPrlimit)(
  'a server without free file descriptors goes on when it has some',
  async () => {
    const server = await rig.start()
    // After the start, which opens many files at once.
    const open = readdirSync(`/proc/${server.child.pid}/fd`).length
    execFileSync('prlimit', ['--pid', String(server.child.pid), `--nofile=${open + 8}:`])
    const port = Number(new URL(server.url).port)
    const sockets = Array.from({ length: 50 }, () =>
      connect(port, '127.0.0.1').on('error', () => {}),
    )
    await pause(500)
    for (const socket of sockets) socket.destroy()
    await pause(200)
    expect(await statusesOf(rig.send(server, 3))).toEqual([202, 202, 202])
    // The processes of questions need more, and get what the server has.
    execFileSync('prlimit', ['--pid', String(server.child.pid), '--nofile=1024:'])
    await rig.expectAllBySql(server)
    expect(await stopped(server)).toBe(0)
  },
)

test.skipIf(!hasPrlimit)('a file that may not grow takes no event, and ends with 70', async () => {
  const bytes = execFileSync('stat', ['-c', '%s', rig.log]).toString().trim()
  const server = await rig.start([
    'prlimit',
    `--fsize=${Math.max(Number(bytes), 200_000) + 30_000}`,
  ])
  const answers = await statusesOf(rig.send(server, 8, { events: 400 }))
  expect(answers.at(-1)).not.toBe(202)
  await rig.expectDiskFailed(server)
})

test.skipIf(!canTrace).each(['EROFS', 'EACCES', 'EMFILE'])(
  'a log that cannot be opened for writing (%s) is told in one sentence',
  async (errno) => {
    const under = underStrace([`openat:error=${errno}`], { paths: [rig.log] })
    await expect(rig.start(under)).rejects.toThrow(/ended with 4 .*error: [^\n]+\nhint: [^\n]+\n/s)
  },
)

describe.skipIf(!runs('sh', '-c', 'test "$(id -u)" = 0'))('a read-only folder', () => {
  test('is told in one sentence, and changes nothing', async () => {
    const place = join(rig.folder, 'read-only')
    mkdirSync(place)
    execFileSync('mount', ['--bind', rig.data, place])
    try {
      execFileSync('mount', ['-o', 'remount,ro,bind', place])
      const { code, stderr } = await millrace(['start', '--data', place, '--port', '0'])
      expect(stderr).toMatch(/^error: [^\n]+\nhint: [^\n]+\n$/)
      expect(code).toBe(4)
    } finally {
      execFileSync('umount', [place])
    }
  })
})

test.skipIf(!hasMemoryLimit)(
  'a server with little memory loses nothing of what it took',
  async () => {
    writeFileSync(join(MEMORY, 'memory.limit_in_bytes'), String(400 * MIB))
    const server = await rig.start([
      'sh',
      '-c',
      `echo $$ > ${MEMORY}/cgroup.procs && exec "$@"`,
      'sh',
    ])
    const answers = await statusesOf(rig.send(server, 150, { atOnce: 75, events: 498 }))
    expect(answers).toContain(202)
    await sqlRows(server.url, readCredentials(rig.data), 'select count(*) from events').catch(
      () => {},
    )
    await stopped(server, 'SIGKILL')
    for (let look = 0; look < 100 && memoryProcesses() !== ''; look++) await pause(50)
  },
)

test('after all of this, everything that was acknowledged is in the lake, once', async () => {
  await rig.expectEverything()
})

function faketimeLibrary(): string | undefined {
  return ['/usr/lib/x86_64-linux-gnu/faketime', '/usr/lib/aarch64-linux-gnu/faketime']
    .map((folder) => join(folder, 'libfaketimeMT.so.1'))
    .find(existsSync)
}

/** A cgroup of version 1, which only root may make. */
function makeMemoryLimit(): boolean {
  try {
    if (!existsSync(MEMORY)) mkdirSync(MEMORY)
    return readdirSync(MEMORY).includes('memory.limit_in_bytes')
  } catch {
    return false
  }
}

function memoryProcesses(): string {
  return execFileSync('cat', [join(MEMORY, 'cgroup.procs')]).toString()
}

function runs(program: string, ...line: string[]): boolean {
  try {
    execFileSync(program, line, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

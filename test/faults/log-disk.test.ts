/**
 * The disk fails under the log of the real server: one row of docs/durability.md a test, one after the
 * other on one folder, which is compared at the end with everything that was ever acknowledged.
 *
 * strace answers single system calls on the log's segment in the kernel's place.
 */
import { dirname } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { residentBytes } from '../support/processes.mjs'
import { readCredentials, send, sqlRows, stopAll, stopped } from '../support/server.mjs'
import { straceWorks } from '../support/strace.mjs'
import { Rig, type Sent } from './rig.ts'

// Each starts several servers under strace; a busy machine takes its time, and may.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const MIB = 1_048_576
const works = straceWorks()
if (!works) console.warn('skipped: faults of the disk need strace and the right to trace.')

const statuses = (answers: readonly Sent[]) => answers.map(({ status }) => status)

function expectRefusals(answers: readonly Sent[], code: string): void {
  for (const answer of answers) {
    expect([answer.status, answer.code]).toEqual([503, code])
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
  }
}

describe.skipIf(!works)('the log', () => {
  let rig: Rig
  beforeAll(async () => {
    rig = await Rig.make()
  })
  afterEach(stopAll)
  afterAll(() => rig.remove())

  test('refuses what finds no space, keeps nothing of it, and goes on', async () => {
    const server = await rig.startWith(['pwrite64:error=ENOSPC:when=3..4'])
    const answers = await rig.send(server, 5)
    expect(statuses(answers)).toEqual([202, 503, 503, 202, 202])
    expectRefusals(answers.slice(1, 3), 'disk_full')
    await rig.expectAllBySql(server)
    expect(await stopped(server)).toBe(0)
  })

  test.each([
    ['a new segment cannot be made', 'openat:error=ENOSPC:when=1'],
    ["its header's sync finds no space", 'fdatasync:error=ENOSPC:when=1'],
  ])('refuses, and goes on, when %s', async (_, injection) => {
    const [before] = (await segments(rig)).slice(-1)
    const next = `${dirname(rig.log)}/${String(Number(before) + 1).padStart(16, '0')}.ndjson`
    const server = await rig.startWith([injection], [next], ['--segment-mib', '1'])
    const answers = await rig.send(server, 10, { events: 498 })
    expect(statuses(answers).filter((status) => status !== 202)).toEqual([503])
    expect((await segments(rig)).at(-1)).not.toBe(before)
    await rig.expectAllBySql(server)
    expect(await stopped(server)).toBe(0)
  })

  test.each([
    ['a sync fails', 'fdatasync:error=EIO:when=4'],
    ['a sync finds no space', 'fdatasync:error=ENOSPC:when=4'],
    ['a write fails', 'pwrite64:error=EIO:when=4'],
    ['the file system is read-only', 'pwrite64:error=EROFS:when=4'],
    ['the file is too large', 'pwrite64:error=EFBIG:when=4'],
  ])('acknowledges nothing more once %s, and ends with 70', async (_, injection) => {
    const server = await rig.startWith([injection])
    const answers = await rig.send(server, 6)
    expect(statuses(answers.slice(0, 2))).toEqual([202, 202])
    expect(statuses(answers.slice(2))).not.toContain(202)
    await rig.expectDiskFailed(server)
  })

  test('says which segment cannot be read, deletes nothing, and is whole when it can', async () => {
    const own = await Rig.make()
    const server = await own.startWith(['pread64:error=EIO:when=4+'])
    const ask = () => sqlRows(server.url, readCredentials(own.data), 'select count(*) from events')
    await expect(ask()).resolves.toEqual([[0]])
    expect(server.output()).toMatch(/"isUnreadable":true/)
    expect((await send(`${server.url}/health`, { method: 'GET' })).status).toBe(200)
    await stopped(server)
    const healed = await own.start()
    await own.expectAllBySql(healed)
    await stopped(healed)
    await own.remove()
  })

  test('works on without sidecars when they cannot be put in place', async () => {
    const index = rig.log.replace('.ndjson', '.index')
    const server = await rig.startWith(['rename:error=EIO'], [index], ['--segment-mib', '1'])
    expect(new Set(statuses(await rig.send(server, 8, { events: 498 })))).toEqual(new Set([202]))
    expect(await stopped(server)).toBe(0)
    const again = await rig.start()
    await rig.expectAllBySql(again)
    await stopped(again)
  })

  test('sheds load with 503 while syncs take longer than a batch may wait, in bounded memory', async () => {
    const server = await rig.startWith(['fdatasync:delay_enter=3000000:when=2+'])
    let highest = 0
    const watching = setInterval(() => {
      highest = Math.max(highest, residentBytes(server.child.pid))
    }, 50)
    // Ninety megabytes at once, of which a third may wait: those beyond, and those that come when the
    // first have waited for two seconds, however slowly a busy machine sends them, are refused.
    const answers = await rig.send(server, 440, { atOnce: 440, events: 498 })
    clearInterval(watching)
    const refused = answers.filter(({ status }) => status !== 202)
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.length).toBeLessThan(answers.length)
    expectRefusals(refused, 'unavailable')
    expect(highest).toBeLessThan(512 * MIB)
    await rig.expectAllBySql(server)
    expect(await stopped(server)).toBe(0)
  })

  test('after all of this, everything that was acknowledged is in the lake, once', async () => {
    await rig.expectEverything()
  })
})

async function segments(rig: Rig): Promise<string[]> {
  const { readdir } = await import('node:fs/promises')
  const names = await readdir(dirname(rig.log))
  return names.filter((name) => name.endsWith('.ndjson')).map((name) => name.slice(0, 16))
}

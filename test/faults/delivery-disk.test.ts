/**
 * The disk fails under delivery, or delivery dies, at places all over the life of the process: the next
 * one ends with every acknowledged event in the lake once, read by pyarrow.
 *
 * `node bench/kill-calls.mjs` tries every place; here it is a sample of each kind of call and fault.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { canCheck, compareByParquet, holds } from '../support/compare.mjs'
import { deliver, fillFolder, jobOf } from '../support/delivery-process.mjs'
import { deliveryLives, placesOf, serverLives } from '../support/every-call.mjs'
import { LakeSteps } from '../support/processes.mjs'
import { pause } from '../support/producers.mjs'
import { stopAll } from '../support/server.mjs'
import { straceWorks } from '../support/strace.mjs'

// Each starts several servers under strace; a busy machine takes its time, and may.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const canRead = await canCheck()
const works = straceWorks() && canRead
if (!works) console.warn('skipped: faults of delivery need strace, python3, pyarrow and fastavro.')

/** How long the process stands still; other engines' writers have come back after longer. */
const STOPPED_MS = 2_000

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-delivery-'))
})
afterEach(stopAll)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(!works)('delivery', () => {
  let lives: Awaited<ReturnType<typeof deliveryLives>>
  beforeAll(async () => {
    lives = await deliveryLives(join(folder, 'lives'))
  })

  test('that dies at any of its calls has delivered nothing twice and nothing in part', async () => {
    for (const { call, when } of placesOf(await lives.count(), 5)) {
      const { outcome, holds, found } = await lives.run(`${call}:signal=KILL:when=${when}`)
      expect(`${call} ${when}: ${outcome}`).toBe(`${call} ${when}: ended with SIGKILL`)
      expect([holds, found]).toEqual([true, found])
    }
  })

  test.each([
    ['a rename fails', 'rename:error=EIO:when=2', /EIO/],
    ['the last table version cannot be linked', 'link:error=EIO:when=3', /EIO/],
    ['a folder cannot be synced', 'fsync:error=EIO:when=30', /EIO/],
    ['a folder finds no space', 'fsync:error=ENOSPC:when=20', /ENOSPC/],
    ['a file cannot be synced', 'fdatasync:error=EIO:when=5', /EIO/],
    ['a file finds no space', 'pwrite64:error=ENOSPC:when=3', /ENOSPC/],
    ['an unfinished file cannot be removed', 'unlink:error=EIO:when=1..3', /delivered/],
  ])('is done by the next process, once, when %s', async (_, injection, says) => {
    const { outcome, holds, found } = await lives.run(injection)
    expect([holds, found]).toEqual([true, found])
    expect(outcome).toMatch(says)
  })

  test.each([
    ['the lines find no space', 'write:error=ENOSPC', 'spool/delivery/lines.ndjson', /ENOSPC/],
    ['the rows find no space', 'write:error=ENOSPC', 'spool/delivery/rows-1.parquet', /space/],
    ['its folder cannot be opened', 'openat:error=EACCES', 'spool/delivery/lines.ndjson', /EACCES/],
    ['the log cannot be read', 'pread64:error=EIO', 'log/0000000000000000.ndjson', /EIO/],
  ])('is done by the next process, once, when %s', async (_, injection, path, says) => {
    const { outcome, holds, found } = await lives.run(injection, [path])
    expect([holds, found]).toEqual([true, found])
    expect(outcome).toMatch(says)
  })
})

describe.skipIf(!canRead)('two delivery processes with one job', () => {
  test.each([1, 5, 9, 13])(
    'deliver it once when the first stood still after step %i while the second worked',
    async (step) => {
      const data = join(folder, `stopped-${step}`)
      const accountPath = `${data}.ndjson`
      ;(await fillFolder(data, accountPath)).close()
      const job = (await jobOf(data))!
      const steps = new LakeSteps(data)
      const first = deliver(data, job)
      await Promise.race([steps.after(step), first.done])
      process.kill(first.pid!, 'SIGSTOP')
      steps.close()
      const second = await deliver(data, job).end()
      await pause(step === 1 ? STOPPED_MS : 0)
      process.kill(first.pid!, 'SIGCONT')
      const outcomes = [await first.end(), second].map(
        ({ result, error }) => result?.status ?? error?.message,
      )
      expect(outcomes).toContain('delivered')
      const found = await compareByParquet(data, accountPath)
      expect([outcomes, holds(found), found]).toEqual([outcomes, true, found])
    },
  )
})

describe.skipIf(!works)('the server', () => {
  test('that dies at any of its calls has lost nothing that it acknowledged', async () => {
    const lives = await serverLives(join(folder, 'server'))
    for (const { call, when } of placesOf(await lives.count(), 5)) {
      const { outcome, holds, found } = await lives.run(`${call}:signal=KILL:when=${when}`)
      expect([holds, found]).toEqual([true, found])
      expect(`${call} ${when}: ${outcome}`).not.toMatch(/ended with 0$/)
    }
  })
})

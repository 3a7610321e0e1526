/**
 * The checker itself: each promise that it watches is broken on purpose, and it says which.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { rollLog } from '../support/bit-flips.mjs'
import { canCheck, compareByParquet } from '../support/compare.mjs'
import { deliver, fillFolder, jobOf } from '../support/delivery-process.mjs'

// Each starts several servers under strace; a busy machine takes its time, and may.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const works = await canCheck()
if (!works) console.warn('skipped: the checker needs python3 with pyarrow and fastavro.')
const RIGHT = { lost: 0, torn: 0, doubled: 0, invented: 0, confused: 0, outOfAccount: 0 }

describe.skipIf(!works)('the checker', () => {
  let folder: string
  let data: string
  let account: string
  let lines: string[]
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-checker-'))
    data = join(folder, 'data')
    account = join(folder, 'account.ndjson')
    ;(await fillFolder(data, account)).close()
    await deliver(data, (await jobOf(data))!).end()
    lines = readFileSync(account, 'utf8').trim().split('\n')
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const judge = (changed: readonly string[], options = {}) => {
    const path = join(folder, 'changed.ndjson')
    writeFileSync(path, `${changed.join('\n')}\n`)
    return compareByParquet(data, path, options)
  }
  /** The account with the first batch of 25 events counted as so many. */
  const counting = (count: number) =>
    lines.map((line) =>
      /"sent":"p1-0"/.test(line) ? line.replace('"count":25', `"count":${count}`) : line,
    )

  test('finds nothing wrong where nothing is', async () => {
    const events = 642
    expect(await judge(lines)).toMatchObject({ ...RIGHT, events, acknowledged: 24 })
    expect(await judge(lines, { until: -1 })).toMatchObject({ ...RIGHT, acknowledged: 0 })
  })

  test('names what is lost, torn, invented or not in the account', async () => {
    const sent = {
      sent: 'p9-1',
      producer: 9,
      sequence: 1,
      first: 0,
      count: 1,
      identities: 0,
      refused: 0,
    }
    const lost = [...lines, JSON.stringify(sent), '{"acknowledged":"p9-1","at":0}']
    expect(await judge(lost)).toMatchObject({ ...RIGHT, lost: 1 })
    expect(await judge(counting(26))).toMatchObject({ ...RIGHT, torn: 1 })
    expect(await judge(counting(24))).toMatchObject({ ...RIGHT, invented: 1 })
    const unsent = lines.filter((line) => !line.includes('"p1-1"'))
    expect(await judge(unsent)).toMatchObject({ ...RIGHT, invented: 2 })
    const ledger = { delivered: 640, rejected: 2 }
    expect(await judge(lines, { ledger })).toMatchObject({ ...RIGHT, outOfAccount: 2 })
  })

  test('names what is there twice', async () => {
    // A log of another identity is delivered from its beginning.
    await rollLog(join(data, 'log'))
    await deliver(data, (await jobOf(data))!).end()
    const { doubled, ...rest } = await judge(lines)
    expect(doubled).toBeGreaterThanOrEqual(24)
    expect(rest).toMatchObject({ lost: 0, torn: 0, invented: 0 })
  })
})

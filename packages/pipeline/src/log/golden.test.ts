/**
 * A log that this format's first version wrote, kept in test/golden/log-v1: later versions must
 * open it.
 *
 * `MILLRACE_WRITE_GOLDEN=1 npx vitest run packages/pipeline/src/log/golden.test.ts` writes the
 * folder of the format as it is. That is right once for a new format version, into a new folder;
 * never over this one.
 */
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeFiles } from '../kit/files.ts'
import { openDiskLog } from './disk-log.ts'
import { linesOf } from './event-log.contract.ts'
import type { BatchEntry } from './event-log.ts'

const GOLDEN = fileURLToPath(new URL('../../../../test/golden/log-v1', import.meta.url))

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-golden-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** Everything by the book: the same bytes whoever runs it. */
const fixed = {
  files: nodeFiles,
  clock: { now: () => 1_574_000_000_000 },
  random: { bytes: (count: number) => Uint8Array.from({ length: count }, (_, at) => at * 17) },
  segmentBytesMax: 1_000,
}

function batch(turn: number): BatchEntry {
  const event = (type: string) =>
    `{"eventType":"${type}","timestamp":"2019-11-15 18:05:00Z","path":"/café","target":"#buy"}`
  const refused = turn === 2
  return {
    tenantNo: turn % 2 === 0 ? 1 : 2,
    sourceNo: 1 + (turn % 3),
    receivedMs: 1_574_000_000_000 + turn,
    sentMs: turn === 3 ? null : 1_573_999_999_000 + turn,
    batchId: `batch-${turn}`,
    eventCount: 2,
    flags: turn === 4 ? 5 : 0,
    indexes: refused ? [0, 2] : null,
    defaults: '{"visitorId":"v-1","consent":{"measure":true}}',
    context:
      '{"browser":"Firefox","os":"Linux","device":null,"country":"CH","origin":null,"bot":false,"gpc":false}',
    events: Buffer.from(`[${event('click')}, ${event('mousemove')}]`),
    packed: null,
    rejections: refused
      ? [
          {
            index: 1,
            code: 'bad_timestamp',
            detail: '"now"',
            pointer: '/timestamp',
            raw: '{"é":1}',
          },
        ]
      : [],
  }
}

async function write(into: string): Promise<void> {
  const log = await openDiskLog({ ...fixed, folder: into })
  for (let turn = 0; turn < 6; turn++) await log.append(batch(turn))
  await log.close()
}

test.runIf(process.env.MILLRACE_WRITE_GOLDEN === '1')('writes the folder', async () => {
  await rm(GOLDEN, { recursive: true, force: true })
  await write(GOLDEN)
})

test('the kept log opens and holds exactly what was written into it', async () => {
  await cp(GOLDEN, folder, { recursive: true })
  const log = await openDiskLog({ ...fixed, folder })
  expect(log.recovered).toEqual({
    segmentCount: 3,
    tornBytes: 0,
    rebuiltSidecars: 0,
    damaged: [],
  })
  expect(log.logId).toBe('00112233445566778899aabbccddeeff')
  expect(log.end()).toBe(6)
  expect(log.tenants()).toEqual([1, 2])
  expect(log.totals(1)).toMatchObject({ acceptedCount: 6, rejectedCount: 1, recordCount: 3 })
  expect(log.totals(2)).toMatchObject({ acceptedCount: 6, rejectedCount: 0, recordCount: 3 })
  for (const tenantNo of [1, 2]) {
    const expected = [0, 1, 2, 3, 4, 5].filter((turn) => batch(turn).tenantNo === tenantNo)
    const lines = linesOf(await log.read(tenantNo, 0, 1 << 30))
    expect(lines).toEqual(
      expected.map((turn) => {
        const entry = batch(turn)
        return {
          o: turn,
          t: entry.tenantNo,
          s: entry.sourceNo,
          r: entry.receivedMs,
          q: entry.sentMs,
          b: entry.batchId,
          n: 2,
          f: entry.flags,
          i: entry.indexes,
          d: JSON.parse(entry.defaults),
          c: JSON.parse(entry.context),
          e: JSON.parse(Buffer.from(entry.events).toString()),
          p: null,
          x: turn === 2 ? entry.rejections : null,
          k: expect.stringMatching(/^[0-9a-f]{8}$/),
        }
      }),
    )
  }
  for (let turn = 0; turn < 6; turn++) {
    expect(await log.append(batch(turn))).toMatchObject({ duplicate: true, conflict: false })
  }
  expect(await log.append({ ...batch(0), batchId: 'new' })).toMatchObject({ offset: 6 })
  await log.close()
})

test('what is written today is the same, byte for byte', async () => {
  await write(folder)
  // The epoch is about the folder's writers, not about the log.
  const names = (await readdir(folder)).filter((name) => name !== 'epoch')
  expect(names).toEqual(await readdir(GOLDEN))
  for (const name of await readdir(GOLDEN)) {
    const [today, kept] = [await readFile(join(folder, name)), await readFile(join(GOLDEN, name))]
    expect(today.equals(kept), name).toBe(true)
  }
})

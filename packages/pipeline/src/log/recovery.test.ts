import {
  copyFile,
  mkdtemp,
  readFile,
  rm,
  stat,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { type FileSystem, nodeFiles } from '../kit/files.ts'
import { type DiskLog, openDiskLog } from './disk-log.ts'
import { entryOf, linesOf, withoutSync } from './event-log.contract.ts'

const ALL = 1 << 30
const unsynced = withoutSync(nodeFiles)
const SEGMENT_0 = '0000000000000000.ndjson'
const SEGMENT_1 = '0000000000000001.ndjson'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-recovery-'))
})
afterEach(() => rm(folder, { recursive: true }))

const open = (segmentBytesMax = 1 << 26, files: FileSystem = unsynced): Promise<DiskLog> =>
  openDiskLog({ folder, files, clock: systemClock, random: systemRandom, segmentBytesMax })

const at = (name: string) => join(folder, name)

/** Writes one batch after the other, each its own group. */
async function written(count: number, segmentBytesMax?: number): Promise<void> {
  const log = await open(segmentBytesMax)
  for (let turn = 0; turn < count; turn++) await log.append(entryOf(`b${turn}`, 1))
  await log.close()
}

/** What a start finds: ids of the records, or the code of the error. */
async function found(): Promise<string[] | string> {
  try {
    const log = await open()
    const ids = linesOf(await log.read(1, 0, ALL)).map(({ b }) => b)
    await log.close()
    return ids
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('the end of the last segment', () => {
  test('a record cut at any byte is dropped and the one before it is kept', async () => {
    await written(3)
    const whole = await readFile(at(SEGMENT_0))
    const lastStart = whole.lastIndexOf('\n', -2) + 1
    for (let cut = lastStart; cut < whole.length; cut++) {
      await writeFile(at(SEGMENT_0), whole.subarray(0, cut))
      expect(await found(), `cut at ${cut}`).toEqual(['b0', 'b1'])
      expect((await stat(at(SEGMENT_0))).size).toBe(lastStart)
    }
  })

  test('zeros and garbage behind it are its end, whatever their length', async () => {
    await written(2)
    const whole = await readFile(at(SEGMENT_0))
    const garbage = Buffer.from(systemRandom.bytes(70_000))
    const newlines = Buffer.alloc(300, '\n{"o":2,"t":1}\n')
    for (const tail of [Buffer.alloc(1), Buffer.alloc(65_536), garbage, newlines]) {
      await writeFile(at(SEGMENT_0), Buffer.concat([whole, tail]))
      expect(await found()).toEqual(['b0', 'b1'])
      expect((await stat(at(SEGMENT_0))).size).toBe(whole.length)
    }
  })

  test('after a cut the next record takes the offset and the place of the lost one', async () => {
    await written(3)
    await truncate(at(SEGMENT_0), (await stat(at(SEGMENT_0))).size - 1)
    const log = await open()
    expect(log.recovered.tornBytes).toBeGreaterThan(100)
    expect(await log.append(entryOf('b2', 1))).toMatchObject({ offset: 2, duplicate: false })
    await log.close()
    expect(await found()).toEqual(['b0', 'b1', 'b2'])
  })

  test('whole records that were never synced are synced before they are served', async () => {
    await written(2)
    const calls: string[] = []
    const files: FileSystem = {
      ...nodeFiles,
      open: async (path, mode) => {
        const file = await nodeFiles.open(path, mode)
        const sync = file.sync.bind(file)
        return Object.assign(file, { sync: () => sync().then(() => void calls.push(`${mode}`)) })
      },
    }
    const log = await open(undefined, files)
    // The epoch, and the segment.
    expect(calls).toEqual(['create', 'write'])
    await log.close()
  })
})

describe('headers', () => {
  test('a later format is told as such and nothing is changed', async () => {
    const later = '{"format":"millrace-log","version":2,"logId":"x","check":"of another kind"}\n'
    await writeFile(at(SEGMENT_0), later)
    expect(await found()).toBe('data_newer')
    expect(await readFile(at(SEGMENT_0), 'latin1')).toBe(later)
  })

  test('a first segment cut anywhere in its header is begun again', async () => {
    await written(0)
    const header = await readFile(at(SEGMENT_0))
    for (let cut = 0; cut < header.length; cut++) {
      await writeFile(at(SEGMENT_0), header.subarray(0, cut))
      expect(await found(), `cut at ${cut}`).toEqual([])
    }
  })

  test('a later segment cut anywhere in its header is begun again, offsets go on', async () => {
    await written(2, 1)
    const header = await readFile(at(SEGMENT_1))
    const headerBytes = header.indexOf('\n') + 1
    for (const cut of [0, 1, 60, headerBytes - 1]) {
      // The sidecar comes later than the next segment's header.
      await unlink(at('0000000000000000.index'))
      await writeFile(at(SEGMENT_1), header.subarray(0, cut))
      const log = await open(1)
      expect(log.end()).toBe(1)
      expect(await log.append(entryOf('new'))).toMatchObject({ offset: 1 })
      await log.close()
    }
  })

  test('an offset is never assumed: a lone later segment without a header is damage', async () => {
    await writeFile(at('0000000000000007.ndjson'), '')
    expect(await found()).toBe('data_damaged')
  })

  test('a log whose first segments are gone begins at the offset its header names', async () => {
    await written(9, 700)
    const before = await found()
    const sealed = (await readFile(at(SEGMENT_0), 'latin1')).split('\n').length - 2
    await unlink(at(SEGMENT_0))
    const log = await open()
    expect(log.end()).toBe(9)
    expect(linesOf(await log.read(1, 0, ALL)).map(({ b }) => b)).toEqual(before.slice(sealed))
    await log.close()
  })
})

describe('sidecars', () => {
  const SIDECAR = '0000000000000000.index'

  test('with all of them, no sealed segment is read', async () => {
    await written(20, 700)
    const log = await open()
    expect(log.recovered.rebuiltSidecars).toBe(0)
    expect(log.recovered.segmentCount).toBeGreaterThan(5)
    expect(log.totals(1).recordCount).toBe(20)
    await log.close()
  })

  test('missing, cut, of another segment, or with a flipped bit: made again, the same', async () => {
    await written(9, 700)
    const whole = await readFile(at(SIDECAR))
    const spoil = [
      () => unlink(at(SIDECAR)),
      () => truncate(at(SIDECAR), whole.length - 40),
      () => truncate(at(SIDECAR), 0),
      () => copyFile(at('0000000000000001.index'), at(SIDECAR)),
      ...Array.from({ length: whole.length >> 2 }, (_, place) => () => {
        const byte = 4 * place + (place % 4)
        const flipped = Buffer.from(whole)
        flipped[byte]! ^= 1 << (byte % 8)
        return writeFile(at(SIDECAR), flipped)
      }),
    ]
    for (const spoiled of spoil) {
      await spoiled()
      const log = await open()
      expect(log.recovered.rebuiltSidecars).toBe(1)
      expect(log.totals(1)).toMatchObject({ acceptedCount: 9, recordCount: 9, damagedCount: 0 })
      expect(await log.append(entryOf('b0', 1))).toMatchObject({ duplicate: true })
      await log.close()
      expect((await readFile(at(SIDECAR))).equals(whole)).toBe(true)
    }
  })

  test('one that cannot be written does not keep the log from opening', async () => {
    await written(9, 700)
    await unlink(at(SIDECAR))
    const faults: unknown[] = []
    const full = Object.assign(new Error('full'), { code: 'ENOSPC' })
    const files: FileSystem = {
      ...unsynced,
      rename: (from, to) =>
        to.endsWith('.index') ? Promise.reject(full) : unsynced.rename(from, to),
    }
    const log = await openDiskLog({
      folder,
      files,
      clock: systemClock,
      random: systemRandom,
      onFault: (error) => faults.push(error),
    })
    expect(faults).toEqual([full])
    expect(log.totals(1).recordCount).toBe(9)
    await log.close()
  })
})

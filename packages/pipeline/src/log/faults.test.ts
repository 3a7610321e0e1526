/**
 * SQLite's loop: run one life of a log, failing call k of the disk, for every k there is. Whatever
 * was acknowledged must be there after reopening, once; what is served must check out.
 */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { MillraceError } from '../kit/errors.ts'
import { type FileSystem, nodeFiles } from '../kit/files.ts'
import { type DiskLog, openDiskLog } from './disk-log.ts'
import { entryOf, linesOf, withoutSync } from './event-log.contract.ts'
import { LogBusy } from './event-log.ts'

const ALL = 1 << 30
let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-faults-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const segment = () => join(folder, '0000000000000000.ndjson')

interface Faults {
  readonly files: FileSystem
  /** Calls that may fail so far. */
  count(): number
  /** Counts from here. */
  begin(): void
  /** Nothing fails any more. */
  end(): void
}

/** What needs a file handle. */
const OPENS = 'create read list syncFolder'

/**
 * Fails call `failAt` (from 1), and with `stays` every later one too; a failing write writes half.
 */
function faulty(code: string, failAt: number, stays: boolean, kinds = '', isOn = true): Faults {
  let calls = 0
  const step = async (kind: string, half?: () => Promise<void>) => {
    if (!isOn) return
    if (kinds !== '' && !kinds.split(' ').includes(kind)) return
    calls++
    if (calls !== failAt && !(stays && calls > failAt)) return
    await half?.()
    throw Object.assign(new Error(`${code} at call ${calls}: ${kind}`), { code })
  }
  const files: FileSystem = {
    ...nodeFiles,
    open: async (path, mode) => {
      if (mode === 'create' || kinds.includes('read')) await step(mode)
      const file = await nodeFiles.open(path, mode)
      return {
        read: (position, length) => file.read(position, length),
        size: () => file.size(),
        close: () => file.close(),
        write: async (bytes, position) => {
          const half = bytes.subarray(0, bytes.length >> 1)
          await step('write', () => file.write(half, position))
          await file.write(bytes, position)
        },
        // What a sync does shows only when power is lost; here it is a call that can fail.
        sync: () => step('sync'),
        truncate: (length) => step('truncate').then(() => file.truncate(length)),
      }
    },
    rename: (from, to) => step('rename').then(() => nodeFiles.rename(from, to)),
    remove: (path) => step('remove').then(() => nodeFiles.remove(path)),
    syncFolder: () => step('syncFolder'),
  }
  const begin = () => {
    calls = 0
    isOn = true
  }
  const end = () => {
    isOn = false
  }
  return { files, count: () => calls, begin, end }
}

const openWith = (files: FileSystem): Promise<DiskLog> =>
  openDiskLog({ folder, files, clock: systemClock, random: systemRandom, segmentBytesMax: 800 })

/** Six turns of two batches, some of them in one group; returns what was acknowledged. */
async function life(files: FileSystem): Promise<Map<string, number>> {
  const acknowledged = new Map<string, number>()
  const log = await openWith(files).catch((error) => {
    expect(error).toBeInstanceOf(MillraceError)
    return undefined
  })
  if (log === undefined) return acknowledged
  for (let turn = 0; turn < 6; turn++) {
    const ids = [`a${turn}`, `b${turn}`]
    const entries = ids.map((id) => entryOf(id, 1 + (turn % 3), { tenantNo: 1 + (turn % 2) }))
    const answers = await Promise.allSettled(entries.map((entry) => log.append(entry)))
    answers.forEach((answer, place) => {
      if (answer.status === 'fulfilled') acknowledged.set(ids[place]!, answer.value.offset)
      else if (!(answer.reason instanceof LogBusy)) {
        expect(answer.reason).toBeInstanceOf(MillraceError)
      }
    })
    const served = await bothTenants(log).catch((error) => {
      expect(error).toMatchObject({ code: 'data_unreadable' })
    })
    if (served === undefined) continue
    expect(served.map(({ b }) => b).sort()).toEqual([...acknowledged.keys()].sort())
  }
  await log.close()
  return acknowledged
}

async function bothTenants(log: DiskLog) {
  return [...linesOf(await log.read(1, 0, ALL)), ...linesOf(await log.read(2, 0, ALL))]
}

async function expectKept(acknowledged: Map<string, number>, what: string): Promise<void> {
  const log = await openWith(withoutSync(nodeFiles))
  const lines = await bothTenants(log)
  const offsets = new Map(lines.map(({ b, o }) => [b as string, o as number]))
  for (const [id, offset] of acknowledged) expect(offsets.get(id), `${what}: ${id}`).toBe(offset)
  const sorted = lines.map(({ o }) => o).sort((left, right) => left - right)
  expect(sorted).toEqual(Array.from({ length: log.end() }, (_, offset) => offset))
  for (const id of acknowledged.keys()) {
    const tenantNo = 1 + (Number(id.slice(1)) % 2)
    const again = await log.append(entryOf(id, 1 + (Number(id.slice(1)) % 3), { tenantNo }))
    expect(again).toMatchObject({ duplicate: true, conflict: false })
  }
  expect(await log.append(entryOf('after'))).toMatchObject({ duplicate: false })
  await log.close()
}

describe.each([
  ['ENOSPC', false, ''],
  ['ENOSPC', true, ''],
  ['EIO', false, ''],
  ['EIO', true, ''],
  ['EROFS', true, ''],
  ['EMFILE', false, OPENS],
  ['EMFILE', true, OPENS],
])('%s, from then on: %s', (code, stays, kinds) => {
  test('at any call: nothing acknowledged is lost, nothing is there twice', async () => {
    const counted = faulty(code, 0, false, kinds)
    expect((await life(counted.files)).size).toBe(12)
    expect(counted.count()).toBeGreaterThan(10)
    for (let failAt = 1; failAt <= counted.count(); failAt++) {
      await rm(folder, { recursive: true, force: true })
      const acknowledged = await life(faulty(code, failAt, stays, kinds).files)
      await expectKept(acknowledged, `${code} at call ${failAt}`)
    }
  })
})

describe('a full disk', () => {
  test('costs the batches of the group; the next is taken when space returns', async () => {
    const faults = faulty('ENOSPC', 1, false, 'write', false)
    const log = await openWith(faults.files)
    faults.begin()
    const bytesBefore = (await stat(segment())).size
    const refused = await Promise.allSettled([log.append(entryOf('a')), log.append(entryOf('b'))])
    for (const { status, ...rest } of refused) {
      expect(status).toBe('rejected')
      expect(rest).toMatchObject({ reason: { code: 'disk_full' } })
    }
    // Half of the group had been written; the cut comes before the next group's write.
    await expect.poll(() => stat(segment()).then(({ size }) => size)).toBe(bytesBefore)
    expect(await log.append(entryOf('a'))).toMatchObject({ offset: 0, duplicate: false })
    await log.close()
    await expectKept(new Map(), 'full')
  })

  test.each(['create', 'syncFolder'])(
    'at %s of a new segment costs the group alone',
    async (kind) => {
      const faults = faulty('ENOSPC', 1, false, kind, false)
      const log = await openWith(faults.files)
      faults.begin()
      expect(await log.append(entryOf('a', 12))).toMatchObject({ offset: 0 })
      await expect(log.append(entryOf('b'))).rejects.toMatchObject({ code: 'disk_full' })
      expect(await log.append(entryOf('b'))).toMatchObject({ offset: 1, duplicate: false })
      await log.close()
      await expectKept(new Map(), kind)
    },
  )
})

describe('a failed sync', () => {
  test('fences the log: no later append is taken, no later sync is tried, reads go on', async () => {
    const syncs: string[] = []
    const faults = faulty('EIO', 2, false, 'sync', false)
    const files: FileSystem = {
      ...faults.files,
      open: async (path, mode) => {
        const file = await faults.files.open(path, mode)
        const { sync } = file
        const counted = () => {
          syncs.push(path)
          return sync()
        }
        return Object.assign(file, { sync: counted })
      },
    }
    const log = await openWith(files)
    faults.begin()
    await log.append(entryOf('a', 1))
    await expect(log.append(entryOf('b', 1))).rejects.toMatchObject({ code: 'disk_failed' })
    const before = syncs.length
    await expect(log.append(entryOf('c', 1))).rejects.toMatchObject({ code: 'disk_failed' })
    await expect(log.append(entryOf('b', 1))).rejects.toMatchObject({ code: 'disk_failed' })
    expect(linesOf(await log.read(1, 0, ALL)).map(({ b }) => b)).toEqual(['a'])
    await log.close()
    expect(syncs.length).toBe(before)
  })

  test('is not taken for a full disk, whatever it says', async () => {
    const faults = faulty('ENOSPC', 1, false, 'sync', false)
    const log = await openWith(faults.files)
    faults.begin()
    await expect(log.append(entryOf('a'))).rejects.toMatchObject({ code: 'disk_failed' })
    await expect(log.append(entryOf('b'))).rejects.toMatchObject({ code: 'disk_failed' })
    await log.close()
  })
})

describe('no file handle left', () => {
  test.each(['read', 'create', 'syncFolder'])(
    'at %s of a new segment: refused as busy, and taken again as soon as there is one',
    async (kind) => {
      const faults = faulty('EMFILE', 1, true, kind, false)
      const log = await openWith(faults.files)
      expect(await log.append(entryOf('a0', 12))).toMatchObject({ offset: 0 })
      faults.begin()
      for (let turn = 0; turn < 3; turn++) {
        await expect(log.append(entryOf('b0'))).rejects.toBeInstanceOf(LogBusy)
      }
      expect(log.fault()).toBeUndefined()
      faults.end()
      expect(await log.append(entryOf('b0'))).toMatchObject({ offset: 1, duplicate: false })
      await log.close()
      const again = await openWith(withoutSync(nodeFiles))
      expect(linesOf(await again.read(1, 0, ALL)).map(({ b }) => b)).toEqual(['a0', 'b0'])
      await again.close()
    },
  )
})

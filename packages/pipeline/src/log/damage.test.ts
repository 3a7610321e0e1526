/** Damage that a start finds: it never stops it, never deletes, and costs the damaged record alone. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../kit/clock.ts'
import type { FileSystem } from '../kit/files.ts'
import { type MemoryFiles, memoryFiles } from '../kit/memory-files.ts'
import { type DiskLog, openDiskLog } from './disk-log.ts'
import { entryOf } from './event-log.contract.ts'
import { encodeHeader, segmentName } from './segment.ts'
import { sidecarName } from './sidecar.ts'

const ALL = 1 << 30
const FOLDER = '/log'
const COUNT = 9
const IDS = Array.from({ length: COUNT }, (_, turn) => `b${turn}`)

const path = (segment: number) => join(FOLDER, segmentName(segment))
const sidecar = (segment: number) => join(FOLDER, sidecarName(segment))
const open = (files: FileSystem, segmentBytesMax = 700): Promise<DiskLog> =>
  openDiskLog({
    ...{ folder: FOLDER, files, clock: systemClock, random: systemRandom, segmentBytesMax },
  })

/** Three segments of three records each, of tenants 1 and 2 in turn. */
async function written(segmentBytesMax?: number): Promise<MemoryFiles> {
  const files = memoryFiles()
  const log = await open(files, segmentBytesMax)
  for (const [turn, id] of IDS.entries()) {
    await log.append(entryOf(id, 1, { tenantNo: 1 + (turn % 2) }))
  }
  await log.close()
  return files
}

/** Every line that is served, by its batch id. */
async function served(log: DiskLog): Promise<Map<string, string>> {
  const lines = new Map<string, string>()
  for (const tenantNo of [1, 2]) {
    const range = await log.read(tenantNo, 0, ALL)
    for (const line of Buffer.from(range?.lines ?? [])
      .toString('latin1')
      .split('\n')) {
      if (line !== '') lines.set(JSON.parse(line).b, line)
    }
  }
  return lines
}

async function servedFrom(files: FileSystem): Promise<string[]> {
  const log = await open(files)
  const ids = [...(await served(log)).keys()].sort()
  await log.close()
  return ids
}

const without = (...ids: string[]) => IDS.filter((id) => !ids.includes(id))
const flip = (bytes: Buffer, byte: number, bit = byte % 8) => {
  bytes[byte]! ^= 1 << bit
}

describe.each([
  ['with its sidecars', true],
  ['without sidecars', false],
])('one flipped bit anywhere in a log of three segments, %s', (_, hasSidecars) => {
  test.each([0, 1, 2])('segment %i: the damaged record alone is missing', async (segment) => {
    const files = await written()
    if (!hasSidecars) for (const each of [0, 1]) await files.remove(sidecar(each))
    const log = await open(files.copy())
    const lines = await served(log)
    await log.close()
    expect([...lines.keys()].sort()).toEqual(IDS)
    const whole = files.get(path(segment))!
    for (let byte = 0; byte < whole.length; byte++) {
      const spoiled = files.copy()
      flip(spoiled.get(path(segment))!, byte)
      const at = `byte ${byte} of segment ${segment}`
      const line = whole.toString('latin1', 0, byte).split('\n').length - 1
      const missing = line === 0 ? [] : [IDS[3 * segment + line - 1]!]
      const isTail = segment === 2 && line === 3

      const damaged = await open(spoiled)
      const found = await served(damaged)
      expect([...found.keys()].sort(), at).toEqual(without(...missing))
      for (const [id, text] of found) expect(text, at).toBe(lines.get(id))
      expect(damaged.damage().recordCount, at).toBe(isTail ? 0 : missing.length)
      const isHidden = line === 0 && hasSidecars && segment < 2
      if (!isHidden) expect(damaged.damage().segmentCount, at).toBe(isTail ? 0 : 1)
      const { offset } = await damaged.append(entryOf('new', 1))
      expect(offset, at).toBe(isTail ? COUNT - 1 : COUNT)
      await damaged.close()
      expect(await servedFrom(spoiled), at).toEqual([...without(...missing), 'new'])
      if (!isTail) expect(spoiled.get(path(segment))!.length, at).toBe(whole.length)
    }
  })
})

describe('more than a bit', () => {
  test('a block of zeros costs what it touches, and the record whose seed it takes', async () => {
    const files = await written(1 << 20)
    const whole = files.get(path(0))!
    for (let start = 0; start + 512 < whole.length; start += 64) {
      const spoiled = files.copy()
      spoiled.get(path(0))!.fill(0, start, start + 512)
      const lineOf = (byte: number) => whole.toString('latin1', 0, byte).split('\n').length - 1
      const [first, last] = [lineOf(start), lineOf(start + 511)]
      const ids = await servedFrom(spoiled)
      const untouched = IDS.filter((_, place) => place + 1 < first || place > last)
      expect(ids, `zeros from ${start}`).toEqual(expect.arrayContaining(untouched))
      expect(ids, `zeros from ${start}`).toEqual(IDS.filter((id) => ids.includes(id)))
    }
  })

  test('records that stand twice, in another place, or are gone, cost no more than themselves', async () => {
    const files = await written(1 << 20)
    const lines = files.get(path(0))!.toString('latin1').split('\n')
    const [header, a, b, c, d, ...rest] = lines
    const arranged = async (...order: (string | undefined)[]) => {
      const spoiled = files.copy()
      spoiled.put(path(0), Buffer.from([header, ...order, ...rest].join('\n'), 'latin1'))
      return servedFrom(spoiled)
    }
    expect(await arranged(a, a, b, c, d)).toEqual(IDS)
    // What follows a missing line is chained to it: it cannot be told from a line of elsewhere.
    expect(await arranged(a, c, d)).toEqual(without('b1', 'b2'))
    expect(await arranged(a, c, b, d)).toEqual(without('b1', 'b2', 'b3'))
  })

  test('a power loss that brought the blocks of one group out of order starts', async () => {
    const files = memoryFiles()
    const log = await open(files, 1 << 20)
    await log.append(entryOf('acknowledged', 1))
    const before = files.get(path(0))!.length
    await Promise.all(IDS.map((id) => log.append(entryOf(id, 1))))
    await log.close()
    const spoiled = files.copy()
    spoiled.get(path(0))!.fill(0, before, before + 600)
    const again = await open(spoiled)
    const ids = [...(await served(again)).keys()]
    expect(ids[0]).toBe('acknowledged')
    expect(ids.slice(1)).toEqual(IDS.slice(-ids.length + 1))
    expect(ids.length).toBeGreaterThan(5)
    expect(again.recovered.damaged).toHaveLength(1)
    expect(await again.append(entryOf('next', 1))).toMatchObject({ offset: COUNT + 1 })
    await again.close()
  })
})

describe('headers and segments', () => {
  test('without any header that checks out the epoch tells which log it is', async () => {
    const files = await written()
    const { logId } = await open(files.copy())
    for (const segment of [0, 1, 2]) files.get(path(segment))!.fill(0, 0, 30)
    for (const segment of [0, 1]) await files.remove(sidecar(segment))
    const log = await open(files)
    expect(log.logId).toBe(logId)
    expect([...(await served(log)).keys()].sort()).toEqual(IDS)
    await log.close()
    await files.remove(join(FOLDER, 'epoch'))
    for (const segment of [3]) files.get(path(segment))!.fill(0, 0, 30)
    await expect(open(files)).rejects.toMatchObject({ code: 'data_damaged' })
  })

  test('a damaged version is damage, a later one stops the start', async () => {
    const files = await written()
    const version = files.get(path(1))!.indexOf('"version":1') + 10
    files.get(path(1))![version] = 51
    expect(await servedFrom(files)).toEqual(IDS)
    const later = '{"format":"millrace-log","version":2,"logId":"x","check":"of another kind"}\n'
    files.put(path(1), Buffer.from(later))
    await expect(open(files)).rejects.toMatchObject({ code: 'data_newer' })
  })

  test('a missing segment is told with its offsets, and with its tenants if its sidecar is there', async () => {
    const files = await written()
    await files.remove(path(1))
    const log = await open(files)
    expect([...(await served(log)).keys()].sort()).toEqual(without('b3', 'b4', 'b5'))
    expect(log.recovered.damaged).toMatchObject([
      {
        segment: 1,
        damaged: [{ startByte: 0, endByte: 0, firstOffset: 3, endOffset: 6 }],
        recordCount: 3,
        tenants: [
          { tenantNo: 2, recordCount: 2, eventCount: 2 },
          { tenantNo: 1, recordCount: 1, eventCount: 1 },
        ],
      },
    ])
    expect(log.totals(2)).toMatchObject({ acceptedCount: 4, damagedCount: 2 })
    expect(await log.append(entryOf('b4', 1))).toMatchObject({ duplicate: true })
    await log.close()

    await files.remove(sidecar(1))
    const again = await open(files)
    expect(again.recovered.damaged).toMatchObject([{ segment: 1, recordCount: 3, tenants: [] }])
    expect(again.totals(2)).toMatchObject({ acceptedCount: 2, damagedCount: 0 })
    await again.close()
  })

  test('a segment of another log stops the start, and nothing is changed', async () => {
    const files = await written()
    const foreign = { logId: 'f'.repeat(32), segment: 1, base: 3, createdMs: 1 }
    files.put(path(1), encodeHeader(foreign).bytes)
    const before = await files.list(FOLDER)
    await expect(open(files)).rejects.toMatchObject({ code: 'data_damaged' })
    expect(await files.list(FOLDER)).toEqual(before)
  })

  test('a segment under the name of another serves nothing twice', async () => {
    const files = await written()
    files.put(path(1), files.get(path(0))!)
    expect(await servedFrom(files)).toEqual(without('b3', 'b4', 'b5'))
  })

  test.each([
    ['its last bytes', (bytes: Buffer) => bytes.subarray(0, -1)],
    ['its last record', (bytes: Buffer) => bytes.subarray(0, bytes.lastIndexOf('\n', -2) + 1)],
  ])('a sealed segment that lost %s keeps the rest', async (_, cut) => {
    for (const hasSidecar of [true, false]) {
      const files = await written()
      files.put(path(0), cut(files.get(path(0))!))
      if (!hasSidecar) await files.remove(sidecar(0))
      const log = await open(files)
      expect([...(await served(log)).keys()].sort()).toEqual(without('b2'))
      expect(log.recovered.damaged).toMatchObject([{ segment: 0, recordCount: 1 }])
      expect(log.totals(1).damagedCount).toBe(hasSidecar ? 1 : 0)
      await log.close()
    }
  })
})

describe('an offset is never given twice', () => {
  test('behind a last segment of which nothing can be read', async () => {
    const files = await written()
    files.get(path(2))!.fill(0)
    const log = await open(files)
    expect([...(await served(log)).keys()].sort()).toEqual(IDS.slice(0, 6))
    const { offset } = await log.append(entryOf('new', 1))
    expect(offset).toBeGreaterThanOrEqual(COUNT)
    await log.close()
    expect(await servedFrom(files)).toEqual([...IDS.slice(0, 6), 'new'])
  })

  test('when the last segment is gone', async () => {
    const files = await written()
    await files.remove(path(2))
    const log = await open(files)
    const { offset } = await log.append(entryOf('new', 1))
    expect(offset).toBeGreaterThanOrEqual(COUNT)
    await log.close()
    expect(await servedFrom(files)).toEqual([...IDS.slice(0, 6), 'new'])
  })

  test('nor when the last segments but their sidecars are gone', async () => {
    const files = await written()
    await files.remove(path(2))
    await files.remove(path(1))
    const log = await open(files)
    expect((await log.append(entryOf('new', 1))).offset).toBeGreaterThanOrEqual(COUNT)
    await log.close()
    expect(await servedFrom(files)).toEqual([...IDS.slice(0, 3), 'new'])
  })
})

describe('the quarantine', () => {
  const quarantined = (files: MemoryFiles) => files.list(join(FOLDER, 'quarantine')).catch(() => [])

  test('holds the segment as it was and says what is missing, once for each damage', async () => {
    const files = await written()
    const bytes = files.get(path(2))!
    const second = bytes.indexOf('\n', bytes.indexOf('\n') + 1) + 1
    flip(bytes, second + 40)
    const spoiled = Buffer.from(bytes)
    for (let start = 0; start < 3; start++) await (await open(files)).close()
    const names = await quarantined(files)
    expect(names).toHaveLength(2)
    const [note, copy] = [...names].sort((left, right) => left.length - right.length)
    expect(copy).toMatch(/^0000000000000002-\d+\.ndjson$/)
    expect(files.get(join(FOLDER, 'quarantine', copy!))!.equals(spoiled)).toBe(true)
    expect(JSON.parse(files.get(join(FOLDER, 'quarantine', note!))!.toString())).toMatchObject({
      segment: 2,
      damaged: [{ startByte: second, firstOffset: 7, endOffset: 8 }],
      recordCount: 1,
      quarantined: join('quarantine', copy!),
      foundMs: expect.any(Number),
    })
  })

  test('that cannot be written is told, and keeps nobody from starting', async () => {
    const files = await written()
    flip(files.get(path(2))!, 300)
    const refused = Object.assign(new Error('no links here'), { code: 'EPERM' })
    const log = await open({ ...files, link: () => Promise.reject(refused) })
    expect(log.recovered.damaged).toMatchObject([{ quarantined: undefined, fault: refused }])
    expect((await served(log)).size).toBe(8)
    await log.close()
  })

  test('marks segments whose sidecar would hide the damage; a mended one is whole again', async () => {
    const files = await written()
    const whole = Buffer.from(files.get(path(0))!)
    flip(files.get(path(0))!, 200)
    const log = await open(files)
    expect(log.recovered.damaged).toEqual([])
    await served(log)
    await log.close()
    const again = await open(files)
    expect(again.recovered.damaged).toMatchObject([
      { segment: 0, recordCount: 1, tenants: [{ tenantNo: 1, recordCount: 1, eventCount: 1 }] },
    ])
    await again.close()
    files.put(path(0), whole)
    const mended = await open(files)
    expect(mended.recovered).toMatchObject({ damaged: [], rebuiltSidecars: 0 })
    expect([...(await served(mended)).keys()].sort()).toEqual(IDS)
    await mended.close()
  })
})

describe('a start that dies on the way', () => {
  /** Fails call `failAt` that changes the disk, and all that come after it. */
  const dying = (files: MemoryFiles, failAt: number) => {
    let calls = 0
    const step = async () => {
      if (++calls >= failAt) throw Object.assign(new Error('died'), { code: 'EIO' })
    }
    const wrapped: FileSystem = {
      ...files,
      open: async (opened, mode) => {
        if (mode === 'create') await step()
        const file = await files.open(opened, mode)
        return {
          ...file,
          write: (bytes, position) => step().then(() => file.write(bytes, position)),
          sync: step,
          truncate: (length) => step().then(() => file.truncate(length)),
        }
      },
      makeFolder: (folder) => step().then(() => files.makeFolder(folder)),
      rename: (from, to) => step().then(() => files.rename(from, to)),
      link: (from, to) => step().then(() => files.link(from, to)),
      remove: (removed) => step().then(() => files.remove(removed)),
      syncFolder: step,
    }
    return { wrapped, count: () => calls }
  }

  test('at any call: the next one finds the same records and gives no offset twice', async () => {
    const damaged = await written()
    flip(damaged.get(path(0))!, 300)
    await damaged.remove(sidecar(0))
    await damaged.remove(path(1))
    flip(damaged.get(path(2))!, 300)
    const whole = dying(damaged.copy(), Number.POSITIVE_INFINITY)
    await (await open(whole.wrapped)).close()
    const ids = await servedFrom(damaged.copy())
    expect(ids).toHaveLength(4)
    expect(whole.count()).toBeGreaterThan(20)
    for (let failAt = 1; failAt <= whole.count(); failAt++) {
      const files = damaged.copy()
      const first = await open(dying(files, failAt).wrapped).catch(() => undefined)
      await first?.close()
      const log = await open(files)
      expect([...(await served(log)).keys()].sort(), `call ${failAt}`).toEqual(ids)
      const { offset } = await log.append(entryOf('new', 1))
      expect(offset, `call ${failAt}`).toBeGreaterThanOrEqual(COUNT)
      await log.close()
    }
  })
})

describe('bytes that the disk cannot read', () => {
  /** EIO for whatever touches the block at `from` of a segment. */
  const failing = (files: MemoryFiles, segment: number, from: number): FileSystem => ({
    ...files,
    open: async (opened, mode) => {
      const file = await files.open(opened, mode)
      const read = async (position: number, length: number) => {
        const isHit = position < from + 4_096 && position + length > from
        if (opened === path(segment) && isHit) {
          throw Object.assign(new Error('EIO'), { code: 'EIO' })
        }
        return file.read(position, length)
      }
      return { ...file, read }
    },
  })

  test.each([0, 2])('in segment %i cost their records, and are there again later', async (bad) => {
    const files = memoryFiles()
    const log = await open(files, 20_000)
    const ids = Array.from({ length: 112 }, (_, turn) => `b${turn}`)
    for (const id of ids) await log.append(entryOf(id, 4))
    await log.close()
    const size = files.get(path(bad))!.length
    expect(size).toBeGreaterThan(13_000)
    const before = Buffer.from(files.get(path(bad))!)
    await (await open(files)).close()
    if (bad === 0) await files.remove(sidecar(0))
    const found = await open(failing(files, bad, 8_192), 20_000)
    const kept = (await served(found)).size
    expect(found.recovered.damaged).toMatchObject([{ segment: bad, isUnreadable: true }])
    expect(kept).toBe(112 - found.damage().recordCount)
    expect(kept).toBeGreaterThan(75)
    expect(kept).toBeLessThan(112)
    await found.close()
    expect(files.get(path(bad))!.equals(before)).toBe(true)
    const again = await open(files)
    expect((await served(again)).size).toBe(112)
    await again.close()
  })
})

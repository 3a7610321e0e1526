/** Who may write, and how much room stays: the epoch of two writers, and the disk's reserve. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { type FileSystem, nodeFiles } from '../kit/files.ts'
import { memoryFiles } from '../kit/memory-files.ts'
import { type DiskLogOptions, openDiskLog } from './disk-log.ts'
import { entryOf, linesOf } from './event-log.contract.ts'
import { segmentName } from './segment.ts'

const ALL = 1 << 30
const MIB = 1_048_576
const FOLDER = '/log'
const open = (files: FileSystem, more: Partial<DiskLogOptions> = {}) =>
  openDiskLog({ folder: FOLDER, files, clock: systemClock, random: systemRandom, ...more })

describe('two writers on one folder', () => {
  test('the one that opened first stops at its next segment, and touches nothing there', async () => {
    const files = memoryFiles()
    const fences: unknown[] = []
    const onFence = (error: unknown) => fences.push(error)
    const first = await open(files, { segmentBytesMax: 1, onFence })
    await first.append(entryOf('a', 1))
    const second = await open(files, { segmentBytesMax: 1 })
    await second.append(entryOf('b', 1))
    const segments = async () =>
      (await files.list(FOLDER)).filter((name) => name.endsWith('.ndjson'))
    const before = await segments()
    const refused = { code: 'disk_failed', message: expect.stringContaining('another process') }
    await expect(first.append(entryOf('c', 1))).rejects.toMatchObject(refused)
    await expect(first.append(entryOf('c', 1))).rejects.toMatchObject(refused)
    expect(fences).toHaveLength(1)
    expect(fences[0]).toMatchObject({ hint: expect.stringContaining('Two processes') })
    expect(await segments()).toEqual(before)
    await second.append(entryOf('d', 1))
    for (const log of [first, second]) await log.close()
    const third = await open(files)
    expect(linesOf(await third.read(1, 0, ALL)).map(({ b }) => b)).toEqual(['a', 'b', 'd'])
    expect(third.recovered.damaged).toEqual([])
    await third.close()
  })

  test('of two that took the same turn only the later one goes on', async () => {
    const files = memoryFiles()
    const epoch = join(FOLDER, 'epoch')
    await (await open(files)).close()
    const before = Buffer.from(files.get(epoch)!)
    const first = await open(files, { segmentBytesMax: 1 })
    await first.append(entryOf('a', 1))
    files.put(epoch, before)
    const second = await open(files, { segmentBytesMax: 1 })
    const turn = (bytes: Buffer) => JSON.parse(bytes.toString()).epoch
    expect(turn(files.get(epoch)!)).toBe(turn(before) + 1)
    await expect(first.append(entryOf('b', 1))).rejects.toMatchObject({ code: 'disk_failed' })
    expect(await second.append(entryOf('b', 1))).toMatchObject({ offset: 1 })
    for (const log of [first, second]) await log.close()
  })

  test('each opening is a turn of its own; a damaged epoch never goes back to a low one', async () => {
    const files = memoryFiles()
    const epoch = join(FOLDER, 'epoch')
    const turns: number[] = []
    for (let start = 0; start < 4; start++) {
      const log = await open(files)
      await log.close()
      turns.push(JSON.parse(files.get(epoch)!.toString()).epoch)
      if (start === 2) files.get(epoch)![30]! ^= 1
    }
    expect(turns.slice(0, 3)).toEqual([1, 2, 3])
    expect(turns[3]).toBeGreaterThan(1_000_000)
  })
})

describe('the reserve', () => {
  test('refuses while less is free, asks seldom, and takes again when there is room', async () => {
    let freeBytes = 10 * MIB
    let asked = 0
    const files: FileSystem = {
      ...memoryFiles(),
      freeBytes: async (folder) => {
        expect(folder).toBe(FOLDER)
        asked++
        return freeBytes
      },
    }
    const log = await open(files, { diskReserveBytes: 4 * MIB })
    for (let turn = 0; turn < 200; turn++) await log.append(entryOf(`a${turn}`, 1))
    expect(asked).toBeLessThan(10)
    freeBytes = 4 * MIB - 1
    const full = { code: 'disk_full', message: expect.stringContaining(String(4 * MIB)) }
    const refused = async (id: string) =>
      log.append(entryOf(id, 1)).then(
        () => false,
        (error) => error,
      )
    for (let turn = 0; ; turn++) {
      const outcome = await refused(`b${turn}`)
      if (outcome === false) await new Promise((resolve) => setTimeout(resolve, 10))
      else {
        expect(outcome).toMatchObject(full)
        break
      }
    }
    expect(log.fault()).toMatchObject(full)
    // What is there already is told so all the same, and reads go on.
    expect(await log.append(entryOf('a0', 1))).toMatchObject({ duplicate: true })
    expect(linesOf(await log.read(1, 0, ALL)).length).toBeGreaterThanOrEqual(200)
    freeBytes = 4 * MIB
    await expect.poll(() => log.fault(), { timeout: 5_000 }).toBeUndefined()
    expect(await log.append(entryOf('c', 1))).toMatchObject({ duplicate: false })
    await log.close()
  })

  test('of 0 asks nothing; a disk that does not say is taken to have room', async () => {
    const files: FileSystem = {
      ...memoryFiles(),
      freeBytes: () => Promise.reject(new Error('not said')),
    }
    const log = await open(files, { diskReserveBytes: MIB })
    expect(await log.append(entryOf('a', 1))).toMatchObject({ offset: 0 })
    await log.close()
    let asked = 0
    const counted = { ...files, freeBytes: async () => asked++ }
    const off = await open(counted)
    await off.append(entryOf('b', 1))
    await off.close()
    expect(asked).toBe(0)
  })
})

const folder = mkdtempSync(join(tmpdir(), 'millrace-reserve-'))
const disk = join(folder, 'disk')
const mounted = mountSmallDisk()
if (!mounted) console.warn('skipped: a disk that fills up needs the right to mount a tmpfs.')
afterAll(() => {
  if (mounted) execFileSync('umount', ['-l', disk])
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

test.skipIf(!mounted)(
  'on a real disk the reserve is there for others when the log is full',
  async () => {
    const place = { folder: join(disk, 'log'), diskReserveBytes: 4 * MIB, segmentBytesMax: MIB }
    const log = await open(nodeFiles, place)
    const raw = Buffer.from(`["${'x'.repeat(60_000)}"]`)
    let taken = 0
    for (; ; taken++) {
      expect(taken).toBeLessThan(2_000)
      const outcome = await log.append(entryOf(`a${taken}`, 1, { events: raw })).then(
        () => undefined,
        (error) => error,
      )
      if (outcome !== undefined) {
        expect(outcome).toMatchObject({ code: 'disk_full' })
        break
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    expect(taken).toBeGreaterThan(40)
    const ballast = join(disk, 'of-others')
    writeFileSync(ballast, Buffer.alloc(MIB))
    for (const segment of [0, 1]) rmSync(join(disk, 'log', segmentName(segment)))
    rmSync(ballast)
    await expect.poll(() => log.fault(), { timeout: 5_000 }).toBeUndefined()
    await log.append(entryOf('again', 1))
    await log.close()
  },
)

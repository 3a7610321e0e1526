import { execFile } from 'node:child_process'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { type FileSystem, nodeFiles } from '../kit/files.ts'
import { type DiskLog, type DiskLogOptions, openDiskLog } from './disk-log.ts'
import { entryOf, eventLogContract, linesOf, type OpenedLog } from './event-log.contract.ts'
import { LogBusy } from './event-log.ts'
import { readPlanned } from './read-plan.ts'

const ALL = 1 << 30
const { setTimeout: realSetTimeout } = globalThis
const realTime = (ms: number) => new Promise((resolve) => realSetTimeout(resolve, ms))
const folders: string[] = []
const logs: DiskLog[] = []

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-log-'))
  folders.push(folder)
  return folder
}

async function openAt(folder: string, more: Partial<DiskLogOptions> = {}): Promise<DiskLog> {
  const at = { folder, files: nodeFiles, clock: systemClock, random: systemRandom }
  const log = await openDiskLog({ ...at, ...more })
  logs.push(log)
  return log
}

afterEach(async () => {
  vi.useRealTimers()
  for (const log of logs.splice(0)) await log.close()
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
})

function opened(folder: string, more: Partial<DiskLogOptions>): Promise<OpenedLog> {
  return openAt(folder, more).then((log) => ({
    writer: log,
    reader: log,
    reopen: async () => {
      await log.close()
      return opened(folder, more)
    },
  }))
}

eventLogContract('the log on disk', async () => opened(await newFolder(), {}))
eventLogContract('the log on disk, a new segment at every turn', async () => {
  return opened(await newFolder(), { segmentBytesMax: 600 })
})

/** Counts calls, and may hold a sync until it is told to go on. */
function watched(): { files: FileSystem; calls: string[]; hold(): () => void } {
  const calls: string[] = []
  let gate = Promise.resolve()
  const files: FileSystem = {
    ...nodeFiles,
    open: async (path, mode) => {
      calls.push(`open ${mode}`)
      const file = await nodeFiles.open(path, mode)
      return {
        read: (position, length) => file.read(position, length),
        size: () => file.size(),
        truncate: (length) => file.truncate(length),
        close: () => file.close(),
        write: (bytes, position) => {
          calls.push('write')
          return file.write(bytes, position)
        },
        sync: async () => {
          calls.push('sync')
          await gate
          await file.sync()
        },
      }
    },
    syncFolder: (folder) => {
      calls.push('syncFolder')
      return nodeFiles.syncFolder(folder)
    },
  }
  const hold = () => {
    let free = () => {}
    gate = new Promise((resolve) => {
      free = resolve
    })
    return free
  }
  return { files, calls, hold }
}

describe('group commit', () => {
  test('batches of one turn share one write and one sync', async () => {
    const { files, calls } = watched()
    const log = await openAt(await newFolder(), { files })
    calls.length = 0
    await Promise.all(Array.from({ length: 50 }, (_, turn) => log.append(entryOf(`b${turn}`))))
    expect(calls).toEqual(['write', 'sync'])
  })

  test('what arrives during a sync goes together in the next group, and none is shown before', async () => {
    const { files, calls, hold } = watched()
    const log = await openAt(await newFolder(), { files })
    calls.length = 0
    const free = hold()
    let answered = 0
    const append = (id: string) => log.append(entryOf(id)).then(() => answered++)
    const first = append('first')
    while (!calls.includes('sync')) await new Promise((resolve) => setTimeout(resolve, 1))
    const rest = Array.from({ length: 10 }, (_, turn) => append(`b${turn}`))
    const again = log.append(entryOf('first'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(answered).toBe(0)
    expect(log.end()).toBe(0)
    expect(log.tenants()).toEqual([])
    expect(log.plan(1, 0, ALL)).toBeUndefined()
    expect(await log.read(1, 0, ALL)).toBeUndefined()
    expect(log.waitingBytes()).toBeGreaterThan(0)
    free()
    await Promise.all([first, ...rest])
    expect(await again).toMatchObject({ duplicate: true, offset: 0 })
    expect(calls).toEqual(['write', 'sync', 'write', 'sync'])
    expect(log.waitingBytes()).toBe(0)
  })

  test('a busy log waits for more batches until its time is up, or enough have come', async () => {
    const log = await openAt(await newFolder(), { groupMs: 5 })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    let number = 0
    const append = (count: number) =>
      Promise.all(Array.from({ length: count }, () => log.append(entryOf(`b${number++}`))))
    // Of busy groups the 32nd is followed by one that is counted.
    for (let group = 0; group < 32; group++) await append(10)
    let isThrough = false
    const counted = append(12).then(() => {
      isThrough = true
    })
    await realTime(50)
    expect(isThrough).toBe(false)
    await vi.advanceTimersByTimeAsync(5)
    await counted
    // As many as were counted wait for nobody.
    await append(12)
    expect(log.end()).toBe(344)
    await vi.advanceTimersByTimeAsync(5)
  })

  test('more than the queue holds is refused as busy; one batch larger than it is taken', async () => {
    const { files, hold } = watched()
    const log = await openAt(await newFolder(), { files, queueBytesMax: 1_000 })
    await log.append(entryOf('large', 400))
    const free = hold()
    const first = log.append(entryOf('a', 5))
    await expect(log.append(entryOf('b', 10))).rejects.toBeInstanceOf(LogBusy)
    free()
    await first
    expect(await log.append(entryOf('b', 10))).toMatchObject({ offset: 2 })
  })

  test('a group larger than a slab is one group', async () => {
    const { files, calls } = watched()
    const log = await openAt(await newFolder(), { files })
    calls.length = 0
    const raw = 'x'.repeat(900_000)
    const rejections = [{ index: 0, code: 'empty' as const, detail: '', pointer: '', raw }]
    await Promise.all(
      Array.from({ length: 12 }, (_, turn) => log.append(entryOf(`b${turn}`, 1, { rejections }))),
    )
    expect(calls).toEqual(['write', 'sync'])
    const range = await log.read(1, 0, ALL)
    expect(range?.recordCount).toBe(12)
    expect(range?.lines.byteLength).toBeGreaterThan(12 * 900_000)
  })
})

describe('segments', () => {
  test('a new one is on stable storage, with its name, before its first record is written', async () => {
    const { files, calls } = watched()
    const log = await openAt(await newFolder(), { files, segmentBytesMax: 300 })
    await log.append(entryOf('a', 5))
    calls.length = 0
    await log.append(entryOf('b', 5))
    await log.close()
    const group = ['open create', 'write', 'sync', 'syncFolder', 'write', 'sync']
    // First it looks whether the folder is still its own.
    expect(calls.slice(0, 7)).toEqual(['open read', ...group])
    // And then the sidecar of the one before, replaced atomically.
    expect(calls.slice(7)).toEqual(['open create', 'write', 'sync', 'syncFolder'])
  })

  test('they roll under load, and every record is read back in order', async () => {
    const folder = await newFolder()
    const log = await openAt(folder, { segmentBytesMax: 4_000 })
    const send = async (sender: number) => {
      for (let turn = 0; turn < 50; turn++) {
        await log.append(entryOf(`${sender}-${turn}`, 3, { tenantNo: 1 + (sender % 2) }))
      }
    }
    await Promise.all(Array.from({ length: 8 }, (_, sender) => send(sender)))
    expect((await nodeFiles.list(folder)).length).toBeGreaterThan(20)
    const offsets = [...linesOf(await log.read(1, 0, ALL)), ...linesOf(await log.read(2, 0, ALL))]
    const sorted = offsets.map(({ o }) => o).sort((left, right) => left - right)
    expect(sorted).toEqual(Array.from({ length: 400 }, (_, offset) => offset))
  })
})

describe('a reader in another process', () => {
  test('a plan that went through JSON reads the same bytes while the log is written', async () => {
    const log = await openAt(await newFolder(), { segmentBytesMax: 2_000 })
    for (let turn = 0; turn < 20; turn++) {
      await log.append(entryOf(`b${turn}`, 2, { tenantNo: 1 + (turn % 3 === 0 ? 1 : 0) }))
    }
    const plan = log.plan(1, 3, 2_500)!
    const sent = JSON.parse(JSON.stringify(plan))
    const [range] = await Promise.all([readPlanned(nodeFiles, sent), log.append(entryOf('more'))])
    expect(range).toEqual(await log.read(1, 3, 2_500))
    expect(range.recordCount).toBe(linesOf(range).length)
    expect(plan.logId).toBe(log.logId)
  })

  test('only the bytes of the tenant, and the eleven before each piece, are read', async () => {
    const read: [number, number][] = []
    const files: FileSystem = {
      ...nodeFiles,
      open: async (path, mode) => {
        const file = await nodeFiles.open(path, mode)
        const watchedRead = (position: number, length: number) => {
          read.push([position, length])
          return file.read(position, length)
        }
        return { ...bound(file), read: watchedRead }
      },
    }
    const log = await openAt(await newFolder(), { files })
    for (const tenantNo of [1, 2, 1, 1, 2]) {
      await log.append(entryOf(`b${log.end()}`, 1, { tenantNo }))
    }
    read.length = 0
    const range = await log.read(1, 0, ALL)
    expect(read.length).toBe(2)
    const bytes = read.reduce((sum, [, length]) => sum + length, 0)
    expect(bytes).toBe(range!.lines.byteLength + 2 * 11)
  })

  test('a plan for another tenant than the bytes hold is refused', async () => {
    const log = await openAt(await newFolder())
    await log.append(entryOf('a', 1, { tenantNo: 2 }))
    const plan = { ...log.plan(2, 0, ALL)!, tenantNo: 1 }
    await expect(readPlanned(nodeFiles, plan)).rejects.toMatchObject({ code: 'data_damaged' })
  })
})

function bound(file: Awaited<ReturnType<FileSystem['open']>>) {
  return {
    read: (position: number, length: number) => file.read(position, length),
    write: (bytes: Uint8Array, position: number) => file.write(bytes, position),
    sync: () => file.sync(),
    size: () => file.size(),
    truncate: (length: number) => file.truncate(length),
    close: () => file.close(),
  }
}

describe('an existing tool', () => {
  test('every line of a segment is JSON that python reads, and its crc32 agrees', async (context) => {
    const folder = await newFolder()
    const log = await openAt(folder)
    for (let turn = 0; turn < 5; turn++) await log.append(entryOf(`b${turn}`))
    const script = `
import json, sys, zlib
seed = 0
for line in open(sys.argv[1], 'rb'):
    k = json.loads(line)['k']
    seed = zlib.crc32(line[:-17], seed)
    assert format(seed, '08x') == k, (line, seed)
print('ok')`
    const segment = join(folder, '0000000000000000.ndjson')
    expect((await stat(segment)).mode & 0o777).toBe(0o600)
    const run = promisify(execFile)('python3', ['-c', script, segment])
    const result = await run.catch((error) => {
      if (error.code === 'ENOENT') return context.skip()
      throw error
    })
    expect(result?.stdout).toBe('ok\n')
  })
})

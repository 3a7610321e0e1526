import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { nodeFiles } from '../kit/files.ts'
import { entryOf } from '../log/event-log.contract.ts'
import { type MemoryLog, openMemoryLog } from '../log/memory-log.ts'
import { TAIL_LIMITS, type Tail, Tails, TailTooLong } from './tail.ts'

let folder: string
let log: MemoryLog

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-tail-'))
  log = openMemoryLog({ clock: systemClock, random: systemRandom })
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const tailsWith = (limits = {}) => new Tails(folder, nodeFiles, log, { ...TAIL_LIMITS, ...limits })
const append = (batchId: string, tenantNo = 1) =>
  log.append(entryOf(batchId, 1, { tenantNo, sourceNo: tenantNo }))
const batchesOf = (tail: Tail) =>
  tail.files
    .flatMap((path) => readFileSync(path, 'utf8').split('\n'))
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line).b as string)

test('a tail holds what its tenant appended, and no line of another', async () => {
  for (const name of ['a', 'b', 'c']) await append(name)
  await append('theirs', 2)
  const tails = tailsWith()
  const tail = await tails.acquire(1, 0)
  expect(batchesOf(tail)).toEqual(['a', 'b', 'c'])
  expect(tail.recordCount).toBe(3)
  expect(readFileSync(tail.files[0]!).includes('theirs')).toBe(false)
  expect(batchesOf(await tails.acquire(2, 0))).toEqual(['theirs'])
})

test('it grows by what came since, in the same file while nobody reads it', async () => {
  const tails = tailsWith()
  await append('a')
  const first = await tails.acquire(1, 0)
  first.release()
  await append('b')
  const second = await tails.acquire(1, 0)
  expect(second.files).toEqual(first.files)
  expect(batchesOf(second)).toEqual(['a', 'b'])
})

test('a file that is being read does not change: what comes then goes into another', async () => {
  const tails = tailsWith()
  await append('a')
  const first = await tails.acquire(1, 0)
  const before = readFileSync(first.files[0]!)
  await append('b')
  const second = await tails.acquire(1, 0)
  expect(readFileSync(first.files[0]!)).toEqual(before)
  expect(second.files.length).toBe(2)
  expect(batchesOf(second)).toEqual(['a', 'b'])
})

test('questions at the same moment get each record once, while more come in', async () => {
  const tails = tailsWith()
  await tails.acquire(1, 0)
  const asked: Promise<Tail>[] = []
  for (let index = 0; index < 20; index++) {
    await append(`b${index}`)
    asked.push(tails.acquire(1, 0))
    await new Promise(setImmediate)
  }
  for (const [index, tail] of (await Promise.all(asked)).entries()) {
    const batches = batchesOf(tail)
    expect(batches).toEqual(Array.from(batches, (_, place) => `b${place}`))
    expect(batches.length).toBeGreaterThan(index)
  }
})

test('when the lake has moved past most of it, it begins again and the old file goes with its reader', async () => {
  const tails = tailsWith({ staleBytesMax: 300 })
  for (let index = 0; index < 10; index++) await append(`b${index}`)
  const old = await tails.acquire(1, 0)
  const next = await tails.acquire(1, 9)
  expect(batchesOf(next)).toEqual(['b9'])
  expect(existsSync(old.files[0]!)).toBe(true)
  old.release()
  old.release()
  await tails.close()
  expect(existsSync(old.files[0]!)).toBe(false)
})

test('a table that is further back than the tail begins gets all it needs', async () => {
  const tails = tailsWith()
  for (const name of ['a', 'b', 'c']) await append(name)
  const late = await tails.acquire(1, 2)
  late.release()
  expect(batchesOf(late)).toEqual(['c'])
  expect(batchesOf(await tails.acquire(1, 0))).toEqual(['a', 'b', 'c'])
})

test('nothing waits: no file', async () => {
  await append('a')
  const tails = tailsWith()
  expect(await tails.acquire(1, 1)).toMatchObject({ files: [], recordCount: 0, bytes: 0 })
  expect(readdirSync(folder)).toEqual([])
})

test('files of an earlier process are deleted at the first question, others are not touched', async () => {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, '7-3.ndjson'), 'old')
  writeFileSync(join(folder, 'notes.txt'), 'mine')
  await tailsWith().acquire(1, 0)
  expect(readdirSync(folder)).toEqual(['notes.txt'])
})

test('a tail longer than the limit is refused, and so is one too many beside those being read', async () => {
  await append('a')
  await append('x', 2)
  await expect(tailsWith({ tenantBytesMax: 10 }).acquire(1, 0)).rejects.toThrow(TailTooLong)
  const tails = tailsWith({ bytesMax: 500 })
  const held = await tails.acquire(1, 0)
  await expect(tails.acquire(2, 0)).rejects.toThrow(TailTooLong)
  held.release()
  expect(batchesOf(await tails.acquire(2, 0))).toEqual(['x'])
})

test('too many files begin again as one', async () => {
  const tails = tailsWith({ fileCountMax: 3 })
  for (const name of ['a', 'b', 'c', 'd']) {
    await append(name)
    await tails.acquire(1, 0)
  }
  const tail = await tails.acquire(1, 0)
  expect(tail.files.length).toBeLessThanOrEqual(3)
  expect(batchesOf(tail)).toEqual(['a', 'b', 'c', 'd'])
})

test('a tail nobody asks for is deleted', async () => {
  await append('a')
  const tails = tailsWith({ idleMs: 10 })
  const tail = await tails.acquire(1, 0)
  tail.release()
  await expect.poll(() => readdirSync(folder)).toEqual([])
})

test('a failed extension leaves nothing that is handed out again', async () => {
  await append('a')
  let failing = true
  const files = {
    ...nodeFiles,
    open: async (path: string, mode: 'read' | 'write' | 'create') => {
      const file = await nodeFiles.open(path, mode)
      if (!failing) return file
      const write = async (bytes: Uint8Array, position: number) => {
        await file.write(Buffer.concat([bytes, Buffer.from('{"half":')]), position)
        throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
      }
      return { write, close: () => file.close() } as unknown as typeof file
    },
  }
  const tails = new Tails(folder, files, log, TAIL_LIMITS)
  await expect(tails.acquire(1, 0)).rejects.toThrow('no space')
  failing = false
  expect(batchesOf(await tails.acquire(1, 0))).toEqual(['a'])
})

test('a tail whose files were deleted while the server ran is begun again', async () => {
  const tails = tailsWith()
  await append('a')
  const first = await tails.acquire(1, 0)
  rmSync(first.files[0]!)
  first.release()
  const second = await tails.acquire(1, 0)
  expect(batchesOf(second)).toEqual(['a'])
  rmSync(folder, { recursive: true })
  await append('b')
  expect(batchesOf(await tails.acquire(1, 0))).toEqual(['a', 'b'])
  second.release()
})

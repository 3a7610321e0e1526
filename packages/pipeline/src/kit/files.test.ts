import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type FileSystem, nodeFiles, type OpenFile, readFile, replaceFile } from './files.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-files-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true })
})

/** The prototype of real handles, so that one of its calls can be made to fall short. */
async function handlePrototype(): Promise<FileHandle> {
  const handle = await open(folder)
  await handle.close()
  return Object.getPrototypeOf(handle) as FileHandle
}

describe('a write', () => {
  test('that the system cuts short is completed', async () => {
    const prototype = await handlePrototype()
    const whole = prototype.write as (...given: unknown[]) => Promise<unknown>
    let calls = 0
    vi.spyOn(prototype, 'write').mockImplementation(function (
      this: FileHandle,
      ...given: unknown[]
    ) {
      calls++
      const [bytes, from, length, position] = given as [Uint8Array, number, number, number]
      return whole.call(this, bytes, from, Math.min(3, length), position) as never
    })
    const file = await nodeFiles.open(join(folder, 'a'), 'create')
    await file.write(Buffer.from('0123456789'), 2)
    await file.close()
    expect(readFileSync(join(folder, 'a'), 'latin1')).toBe('\0\x000123456789')
    expect(calls).toBe(4)
  })

  test('of which nothing is taken fails and does not try for ever', async () => {
    const prototype = await handlePrototype()
    vi.spyOn(prototype, 'write').mockResolvedValue({ bytesWritten: 0, buffer: '' } as never)
    const file = await nodeFiles.open(join(folder, 'a'), 'create')
    await expect(file.write(Buffer.from('x'), 0)).rejects.toMatchObject({ code: 'EIO' })
    await file.close()
  })
})

test('a read is shorter only at the end of the file', async () => {
  writeFileSync(join(folder, 'a'), '0123456789')
  const file = await nodeFiles.open(join(folder, 'a'), 'read')
  expect(Buffer.from(await file.read(7, 100)).toString()).toBe('789')
  expect((await file.read(10, 5)).length).toBe(0)
  await file.close()
})

test('create refuses a name that exists, and makes files for their owner alone', async () => {
  const path = join(folder, 'a')
  await (await nodeFiles.open(path, 'create')).close()
  expect(statSync(path).mode & 0o777).toBe(0o600)
  await expect(nodeFiles.open(path, 'create')).rejects.toMatchObject({ code: 'EEXIST' })
})

describe('a new folder', () => {
  test('is synced after each one above it, and before one is made below it', async () => {
    const path = (...names: string[]) => join(folder, ...names)
    const synced: string[] = []
    vi.spyOn(nodeFiles, 'syncFolder').mockImplementation(async (synchronized) => {
      if (!synchronized.startsWith(folder)) return
      const made = [path('a'), path('a', 'b'), path('a', 'b', 'c')].filter(existsSync)
      synced.push(`${relative(folder, synchronized)} ${made.length}`)
    })
    await nodeFiles.makeFolder(path('a', 'b', 'c'))
    expect(synced).toEqual([' 1', 'a 2', 'a/b 3'])
  })

  test('that is there is synced again: who made it may not have come to it', async () => {
    await nodeFiles.makeFolder(join(folder, 'a', 'b'))
    const synced = vi.spyOn(nodeFiles, 'syncFolder')
    await nodeFiles.makeFolder(join(folder, 'a', 'b/'))
    expect(synced.mock.calls).toEqual([[join(folder, 'a')]])
  })

  test('below one that may not be read needs no sync', async () => {
    await nodeFiles.makeFolder(join(folder, 'a', 'b'))
    const refused = Object.assign(new Error('EACCES'), { code: 'EACCES' })
    vi.spyOn(nodeFiles, 'syncFolder').mockRejectedValue(refused)
    await nodeFiles.makeFolder(join(folder, 'a', 'b'))
    await expect(nodeFiles.makeFolder(join(folder, 'a', 'c'))).rejects.toBe(refused)
  })

  test('may be named from the working folder', async () => {
    const before = process.cwd()
    process.chdir(folder)
    try {
      const synced: string[] = []
      vi.spyOn(nodeFiles, 'syncFolder').mockImplementation(async (path) => void synced.push(path))
      await nodeFiles.makeFolder('x/y')
      expect(synced.slice(-2)).toEqual([folder, join(folder, 'x')])
    } finally {
      process.chdir(before)
    }
  })
})

/** The real file system, but step number `failing` is not taken and throws. */
function failingAt(failing: number): FileSystem & { steps(): number } {
  let step = 0
  const guard = <A extends unknown[], R>(call: (...given: A) => Promise<R>) => {
    return async (...given: A): Promise<R> => {
      if (step++ === failing) throw Object.assign(new Error('injected'), { code: 'EIO' })
      return call(...given)
    }
  }
  return {
    ...nodeFiles,
    steps: () => step,
    exists: guard(nodeFiles.exists),
    rename: guard(nodeFiles.rename),
    remove: guard(nodeFiles.remove),
    syncFolder: guard(nodeFiles.syncFolder),
    open: guard(async (path, mode): Promise<OpenFile> => {
      const file = await nodeFiles.open(path, mode)
      return {
        read: (position, length) => file.read(position, length),
        size: () => file.size(),
        truncate: (length) => file.truncate(length),
        close: () => file.close(),
        write: async (bytes, position) => {
          // What a full disk does: half of it is there.
          if (step++ !== failing) return file.write(bytes, position)
          await file.write(bytes.subarray(0, bytes.byteLength / 2), position)
          throw Object.assign(new Error('injected'), { code: 'ENOSPC' })
        },
        sync: guard(() => file.sync()),
      }
    }),
  }
}

describe('replacing a file', () => {
  test('leaves the old text or the new one whatever fails, and the next try succeeds', async () => {
    const path = join(folder, 'a')
    const counted = failingAt(-1)
    await replaceFile(counted, path, Buffer.from('old text'))
    expect(counted.steps()).toBe(6)
    for (let step = 0; step < counted.steps(); step++) {
      writeFileSync(path, 'old text')
      await expect(replaceFile(failingAt(step), path, Buffer.from('new text'))).rejects.toThrow(
        'injected',
      )
      expect(['old text', 'new text']).toContain(readFileSync(path, 'utf8'))
      await replaceFile(nodeFiles, path, Buffer.from('next'))
      expect(Buffer.from(await readFile(nodeFiles, path)).toString()).toBe('next')
    }
  })

  test('does not rename what is not synced, and syncs the name last', async () => {
    const order: string[] = []
    const told: FileSystem = {
      ...nodeFiles,
      open: async (path, mode) => {
        const file = await nodeFiles.open(path, mode)
        return {
          read: (position, length) => file.read(position, length),
          size: () => file.size(),
          truncate: (length) => file.truncate(length),
          close: () => file.close(),
          write: (bytes, position) => {
            order.push('write')
            return file.write(bytes, position)
          },
          sync: () => {
            order.push('sync')
            return file.sync()
          },
        }
      },
      rename: (from, to) => {
        order.push('rename')
        return nodeFiles.rename(from, to)
      },
      syncFolder: (path) => {
        order.push('sync folder')
        return nodeFiles.syncFolder(path)
      },
    }
    await replaceFile(told, join(folder, 'a'), Buffer.from('x'))
    expect(order).toEqual(['write', 'sync', 'rename', 'sync folder'])
  })
})

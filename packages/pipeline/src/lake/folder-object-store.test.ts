import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemRandom } from '../kit/clock.ts'
import { type FileSystem, nodeFiles } from '../kit/files.ts'
import { FolderObjectStore, removeUnfinished } from './folder-object-store.ts'
import { objectStoreContract } from './object-store.contract.ts'

objectStoreContract(
  'folder',
  (folder) => new FolderObjectStore(nodeFiles, `${folder}/lake`, 'lake-test', systemRandom),
)

describe('folder object store on a disk that fails', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'folder-store-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  /** A disk that records its calls, and stops the world before call number `dieAt`. */
  function disk(calls: string[], dieAt = Number.POSITIVE_INFINITY): FileSystem {
    const step = (name: string) => {
      if (calls.length >= dieAt) throw new Error('died')
      calls.push(name)
    }
    const short = (path: string) => path.slice(folder.length).replace(/[0-9a-f]{32}/, 'TMP')
    return {
      ...nodeFiles,
      open: async (path, mode) => {
        step(`open ${short(path)}`)
        const file = await nodeFiles.open(path, mode)
        return {
          write: (bytes, position) => {
            step(`write ${short(path)}`)
            return file.write(bytes, position)
          },
          sync: async () => step(`sync ${short(path)}`),
          read: (position, length) => file.read(position, length),
          size: () => file.size(),
          truncate: (length) => file.truncate(length),
          close: () => file.close(),
        }
      },
      rename: async (from, to) => {
        step(`rename ${short(to)}`)
        await nodeFiles.rename(from, to)
      },
      link: async (from, to) => {
        step(`link ${short(to)}`)
        await nodeFiles.link(from, to)
      },
      makeFolder: async (path) => {
        await nodeFiles.makeFolder(path)
        step(`makeFolder ${short(path)}`)
      },
      syncFolder: async (path) => step(`syncFolder ${short(path)}`),
    }
  }

  test.each([true, false])(
    'the bytes are synced before the name appears, the name before the answer (onlyIfAbsent %s)',
    async (onlyIfAbsent) => {
      const calls: string[] = []
      const store = new FolderObjectStore(disk(calls), `${folder}/lake`, 'b', systemRandom)
      await store.put('a/b', Buffer.from('x'), { onlyIfAbsent })
      const named = calls.indexOf(onlyIfAbsent ? 'link /lake/a/b' : 'rename /lake/a/b')
      expect(named).toBeGreaterThan(0)
      expect(calls.lastIndexOf('sync /lake/.tmp/TMP')).toBeGreaterThan(
        calls.lastIndexOf('write /lake/.tmp/TMP'),
      )
      expect(calls.lastIndexOf('sync /lake/.tmp/TMP')).toBeLessThan(named)
      expect(calls.slice(named)).toContain('syncFolder /lake/a')
      expect(calls.slice(0, named)).toContain('makeFolder /lake/a')
    },
  )

  test('a put that dies at any step leaves no object or the whole one', async () => {
    const whole: string[] = []
    await new FolderObjectStore(disk(whole), `${folder}/0`, 'b', systemRandom).put(
      'a/b',
      Buffer.from('whole'),
      { onlyIfAbsent: true },
    )
    const seen = new Set<string>()
    for (let dieAt = 0; dieAt < whole.length; dieAt++) {
      const root = `${folder}/${dieAt + 1}`
      const dying = new FolderObjectStore(disk([], dieAt), root, 'b', systemRandom)
      await expect(dying.put('a/b', Buffer.from('whole'), { onlyIfAbsent: true })).rejects.toThrow()
      const after = new FolderObjectStore(nodeFiles, root, 'b', systemRandom)
      const found = await after.get('a/b')
      seen.add(found ? Buffer.from(found).toString() : 'nothing')
    }
    expect([...seen].sort()).toEqual(['nothing', 'whole'])
  })

  test('a file that an engine wrote is synced before it is moved in', async () => {
    const calls: string[] = []
    const store = new FolderObjectStore(disk(calls), `${folder}/lake`, 'b', systemRandom)
    writeFileSync(`${folder}/x.parquet`, 'rows')
    await store.putFile('t/x.parquet', `${folder}/x.parquet`)
    const moved = calls.indexOf('rename /lake/t/x.parquet')
    expect(calls.indexOf('sync /x.parquet')).toBeLessThan(moved)
    expect(calls.indexOf('sync /x.parquet')).toBeGreaterThanOrEqual(0)
    expect(calls.slice(moved)).toContain('syncFolder /lake/t')
  })

  test('an object is written although its unfinished name cannot be removed', async () => {
    const files: FileSystem = { ...nodeFiles, remove: () => Promise.reject(new Error('EIO')) }
    const store = new FolderObjectStore(files, `${folder}/lake`, 'b', systemRandom)
    const put = () => store.put('t/x', Buffer.from('x'), { onlyIfAbsent: true })
    expect(await put()).toBe('written')
    expect(await put()).toBe('exists')
  })

  test('what a process left unfinished is in no listing and can be removed', async () => {
    const store = new FolderObjectStore(nodeFiles, `${folder}/lake`, 'b', systemRandom)
    await removeUnfinished(nodeFiles, `${folder}/lake`)
    await store.put('a', Buffer.from('x'))
    mkdirSync(`${folder}/lake/.tmp`, { recursive: true })
    writeFileSync(`${folder}/lake/.tmp/half`, 'ha')
    const keys: string[] = []
    for await (const key of store.list('')) keys.push(key)
    expect(keys).toEqual(['a'])
    expect(await store.folders('')).toEqual([])
    await removeUnfinished(nodeFiles, `${folder}/lake`)
    expect(readdirSync(`${folder}/lake/.tmp`)).toEqual([])
  })
})

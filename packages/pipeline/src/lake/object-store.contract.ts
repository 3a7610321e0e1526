/** What every object store promises; each implementation's test calls this. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { keyOf, locationOf, type ObjectStore } from './object-store.ts'

const RACERS = 16

/** `open` gives an empty store of bucket `lake-test` and a folder for local files beside it. */
export function objectStoreContract(name: string, open: (folder: string) => ObjectStore): void {
  describe(`object store: ${name}`, () => {
    let root: string
    let folder: string
    let store: ObjectStore
    beforeAll(() => {
      root = mkdtempSync(join(tmpdir(), 'object-store-'))
    })
    afterAll(() => rmSync(root, { recursive: true }))
    beforeEach(() => {
      folder = mkdtempSync(join(root, 'case-'))
      store = open(folder)
    })

    test('what was put is got, whole and by range; what was not is undefined', async () => {
      await store.put('a/b/c.bin', bytes('0123456789'))
      expect(text(await store.get('a/b/c.bin'))).toBe('0123456789')
      expect(text(await store.get('a/b/c.bin', { start: 2, end: 5 }))).toBe('234')
      expect(text(await store.get('a/b/c.bin', { start: 8, end: 99 }))).toBe('89')
      expect(text(await store.get('a/b/c.bin', { start: 20, end: 99 }))).toBe('')
      expect(await store.get('a/b')).toBeUndefined()
      expect(await store.get('a/b/d.bin')).toBeUndefined()
      expect(await store.get('a/b/c.bin/below')).toBeUndefined()
    })

    test('a put replaces the object and keeps its own copy of the bytes', async () => {
      const mine = bytes('one')
      await store.put('k', mine)
      mine[0] = 0
      expect(text(await store.get('k'))).toBe('one')
      await store.put('k', bytes('two'))
      expect(text(await store.get('k'))).toBe('two')
    })

    test('an empty object is an object', async () => {
      await store.put('empty', bytes(''))
      expect(text(await store.get('empty'))).toBe('')
    })

    test('onlyIfAbsent writes once, and what is there stays', async () => {
      expect(await store.put('k', bytes('one'), { onlyIfAbsent: true })).toBe('written')
      expect(await store.put('k', bytes('two'), { onlyIfAbsent: true })).toBe('exists')
      expect(text(await store.get('k'))).toBe('one')
    })

    test('of many that put one absent key at once, one wins and its bytes are read', async () => {
      const puts = Array.from({ length: RACERS }, (_, racer) =>
        store.put('race/k', bytes(`racer ${racer}`), { onlyIfAbsent: true }),
      )
      const outcomes = await Promise.all(puts)
      expect(outcomes.filter((outcome) => outcome === 'written')).toHaveLength(1)
      expect(text(await store.get('race/k'))).toBe(`racer ${outcomes.indexOf('written')}`)
    })

    test('a local file is moved in and is gone where it was', async () => {
      const local = join(folder, 'local.parquet')
      writeFileSync(local, 'rows')
      await store.putFile('t/data/x.parquet', local)
      expect(text(await store.get('t/data/x.parquet'))).toBe('rows')
      await expect(stat(local)).rejects.toThrow('ENOENT')
    })

    test('a list is every key under the prefix in byte order, whatever the folders', async () => {
      const keys = ['a-b', 'a.x', 'a/b/c', 'a/b-c', 'a/b1', 'a0', 'ab/c', 'b', 'B']
      for (const key of keys) await store.put(key, bytes(key))
      expect(await listed(store, '')).toEqual([...keys].sort())
      expect(await listed(store, 'a/')).toEqual(['a/b-c', 'a/b/c', 'a/b1'])
      expect(await listed(store, 'a/b')).toEqual(['a/b-c', 'a/b/c', 'a/b1'])
      expect(await listed(store, 'a/b/')).toEqual(['a/b/c'])
      expect(await listed(store, 'none/')).toEqual([])
      expect(await listed(store, 'a/b/c/d')).toEqual([])
    })

    test('folders are the names one level below, files not among them', async () => {
      for (const key of ['x/f', 'x/b/1', 'x/a/deep/2', 'y/3']) await store.put(key, bytes(key))
      expect(await store.folders('x/')).toEqual(['a', 'b'])
      expect(await store.folders('')).toEqual(['x', 'y'])
      expect(await store.folders('none/')).toEqual([])
    })

    test('a deleted object is gone; deleting again is no error', async () => {
      await store.put('k/1', bytes('x'))
      await store.delete('k/1')
      await store.delete('k/1')
      await store.delete('never/was')
      expect(await store.get('k/1')).toBeUndefined()
      expect(await listed(store, 'k/')).toEqual([])
    })

    test('the local path of an object is a file with its bytes', async () => {
      await store.put('p/q.parquet', bytes('rows'))
      expect(await readFile(await store.localPath('p/q.parquet'), 'utf8')).toBe('rows')
    })

    test.each(['../up', 'a/../b', 'a//b', '/a', 'a/', '', '.hidden', 'a/.b', 'ä', 'a\\b', 'a b'])(
      'key %j is refused by every method',
      async (key) => {
        await expect(store.put(key, bytes('x'))).rejects.toThrow('no key')
        await expect(store.put(key, bytes('x'), { onlyIfAbsent: true })).rejects.toThrow('no key')
        await expect(store.putFile(key, join(folder, 'none'))).rejects.toThrow('no key')
        await expect(store.get(key)).rejects.toThrow('no key')
        await expect(store.delete(key)).rejects.toThrow('no key')
        await expect(store.localPath(key)).rejects.toThrow('no key')
      },
    )

    test('a key longer than S3 takes is refused', async () => {
      await expect(store.get('k'.repeat(1025))).rejects.toThrow('no key')
      expect(await store.get(`${'k/'.repeat(511)}kk`)).toBeUndefined()
    })

    test('locations name the bucket, and those of another bucket are not taken for ours', () => {
      expect(locationOf(store, 'a/b')).toBe('s3://lake-test/a/b')
      expect(keyOf(store, 's3://lake-test/a/b')).toBe('a/b')
      expect(() => keyOf(store, 's3://lake-test2/a/b')).toThrow('not in bucket')
    })
  })
}

function bytes(of: string): Uint8Array {
  return Buffer.from(of)
}

function text(of: Uint8Array | undefined): string | undefined {
  return of && Buffer.from(of).toString('utf8')
}

async function listed(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const key of store.list(prefix)) keys.push(key)
  return keys
}

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { nodeFiles } from '../kit/files.ts'
import type { Catalog } from './catalog.ts'
import type { DataFile } from './data-file.ts'
import { FolderObjectStore } from './folder-object-store.ts'
import { decodeAvroFile } from './iceberg/avro.ts'
import { decodeManifest, decodeManifestList, encodeManifestList } from './iceberg/manifest.ts'
import { currentSnapshot, withSnapshot } from './iceberg/metadata.ts'
import { type LakeTable, openLakeTable, type TableSnapshot } from './lake-table.ts'
import { dataKey } from './layout.ts'
import { keyOf, type ObjectStore } from './object-store.ts'
import { ObjectStoreCatalog } from './object-store-catalog.ts'
import type { Progress } from './progress.ts'
import { IDENTITIES } from './tables.ts'

const TABLE = { namespace: 'shop', name: 'identities' }
const DAY = Date.UTC(2026, 10, 1) / 86_400_000
const at = (nextOffset: number, writerEpoch = 1): Progress => ({
  logId: 'l',
  nextOffset,
  writerEpoch,
})

let root: string
let folder: string
let store: ObjectStore
let catalog: Catalog
let table: LakeTable
let fileNumber = 0
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'lake-table-'))
})
afterAll(() => rmSync(root, { recursive: true }))
beforeEach(() => {
  folder = mkdtempSync(join(root, 'lake-'))
  store = openStore()
  catalog = new ObjectStoreCatalog(store)
  table = open(store, catalog)
})

function openStore(): ObjectStore {
  return new FolderObjectStore(nodeFiles, folder, 'lake-test', systemRandom)
}

function open(on: ObjectStore, by: Catalog): LakeTable {
  return openLakeTable(on, by, TABLE, IDENTITIES, systemClock, systemRandom)
}

/** A file as the metadata knows it; nothing here reads its rows. */
function file(day = DAY, recordCount = 10): DataFile {
  const key = dataKey(TABLE, IDENTITIES, day, `file-${fileNumber++}`)
  const time = BigInt(day) * 86_400_000_000n
  return {
    key,
    recordCount,
    fileBytes: 1000,
    partitionDay: day,
    columnSizes: new Map([[1, 100]]),
    valueCounts: new Map([[1, recordCount]]),
    nullCounts: new Map([[1, 0]]),
    lowerBounds: new Map([[4, time]]),
    upperBounds: new Map([[4, time + 5n]]),
  }
}

async function appended(
  files: readonly DataFile[],
  progress: Progress,
  expected: Progress | undefined,
): Promise<TableSnapshot> {
  const outcome = await table.append(files, progress, expected)
  if (outcome === 'moved') throw new Error('moved')
  return outcome
}

async function metadata() {
  return (await catalog.load(TABLE))!.metadata
}

async function object(location: string): Promise<Uint8Array> {
  return (await store.get(keyOf(store, location)))!
}

describe('append', () => {
  test('makes the table, and each append adds its files and says how far the log is taken up', async () => {
    expect(await table.snapshot()).toEqual({
      snapshotId: undefined,
      files: [],
      recordCount: 0,
      progress: undefined,
    })
    const [a, b, c] = [file(), file(DAY + 1), file()]
    const one = await appended([a], at(5), undefined)
    expect(one).toMatchObject({ files: [a], recordCount: 10, progress: at(5) })
    const two = await appended([b, c], at(9), at(5))
    expect(two).toMatchObject({ files: [b, c, a], recordCount: 30, progress: at(9) })
    expect(two.snapshotId).not.toBe(one.snapshotId)
    // What a process sees that starts now, from the bytes alone.
    expect(await open(openStore(), new ObjectStoreCatalog(openStore())).snapshot()).toEqual(two)
    expect(await table.snapshot()).toBe(await table.snapshot())
  })

  test('without files it still moves the progress', async () => {
    await appended([file()], at(5), undefined)
    const after = await appended([], at(8), at(5))
    expect(after).toMatchObject({ recordCount: 10, progress: at(8) })
    expect(await catalog.tables('shop')).toEqual(['identities'])
  })

  test('may be the first without files', async () => {
    const made = await appended([], at(3), undefined)
    expect(made).toMatchObject({ files: [], recordCount: 0, progress: at(3) })
    expect(await open(openStore(), new ObjectStoreCatalog(openStore())).snapshot()).toEqual(made)
  })

  test('continues only from where the table stands: else it is moved, and nothing changes', async () => {
    await appended([file()], at(5, 2), undefined)
    const before = await table.snapshot()
    for (const expected of [undefined, at(4, 2), at(5, 1), { ...at(5, 2), logId: 'other' }]) {
      const next = { ...(expected ?? at(5, 2)), nextOffset: 7 }
      expect(await table.append([file()], next, expected)).toBe('moved')
    }
    expect(await table.snapshot()).toBe(before)
    expect((await metadata()).snapshots).toHaveLength(1)
  })

  test('of many writers at one place in the log, exactly one adds its rows', async () => {
    await appended([file()], at(1), undefined)
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, writer) =>
        open(openStore(), new ObjectStoreCatalog(openStore())).append(
          [file()],
          at(2, writer + 1),
          at(1),
        ),
      ),
    )
    expect(outcomes.filter((outcome) => outcome !== 'moved')).toHaveLength(1)
    expect((await table.snapshot()).files).toHaveLength(2)
  })

  test('refuses progress that goes back, and files of another table', async () => {
    await expect(table.append([], at(4), at(5))).rejects.toThrow('from offset 5, epoch 1 to 4, 1')
    await expect(table.append([], at(6, 1), at(5, 2))).rejects.toThrow('goes back')
    const stray = { ...file(), key: 'other/identities/data/x.parquet' }
    await expect(table.append([stray], at(6), at(5))).rejects.toThrow('is not in shop/identities')
    expect(await catalog.load(TABLE)).toBeUndefined()
  })

  test('that dies before any write leaves the old table or the new one, and can be done again', async () => {
    let reached = 0
    for (let dieAt = 0; ; dieAt++) {
      folder = mkdtempSync(join(root, 'crash-'))
      const whole = openStore()
      const first = open(whole, new ObjectStoreCatalog(whole))
      await first.append([file(DAY, 1)], at(1), undefined)
      const before = await first.snapshot()
      let writes = 0
      const put: ObjectStore['put'] = async (...args) => {
        if (writes++ === dieAt) throw new Error('died')
        return whole.put(...args)
      }
      const dying = new Proxy(whole, {
        get: (target, name: keyof ObjectStore) =>
          name === 'put' ? put : name === 'bucket' ? target.bucket : target[name].bind(target),
      })
      const added = file(DAY, 2)
      const outcome = await open(dying, new ObjectStoreCatalog(dying))
        .append([added], at(2), at(1))
        .catch(() => 'died' as const)
      const restarted = open(whole, new ObjectStoreCatalog(openStore()))
      const after = await restarted.snapshot()
      if (outcome === 'died') {
        reached++
        expect(after).toEqual(before)
        await restarted.append([added], at(2), at(1))
      }
      const retried = await restarted.append([added], at(2), at(1))
      expect(retried).toBe('moved')
      expect((await restarted.snapshot()).recordCount).toBe(3)
      if (dieAt > writes) break
    }
    // Manifest, manifest list, metadata; the hint's failure is none.
    expect(reached).toBe(3)
  })
})

describe('beside other engines', () => {
  /** The catalog, with another way to commit. */
  function committing(commit: Catalog['commit']): Catalog {
    return new Proxy(catalog, {
      get: (target, name: keyof Catalog) =>
        name === 'commit' ? commit : target[name].bind(target),
    })
  }

  /** A commit as another engine makes it: its own summary, the same files. */
  async function foreignCommit(by: Catalog, snapshotId: number | bigint): Promise<void> {
    const loaded = (await by.load(TABLE))!
    const current = currentSnapshot(loaded.metadata)!
    const next = withSnapshot(
      loaded.metadata,
      {
        snapshotId,
        sequenceNumber: loaded.metadata['last-sequence-number'] + 1,
        manifestList: current['manifest-list'],
        summary: { operation: 'replace' },
        nowMs: 1,
      },
      loaded.metadataLocation,
    )
    if ((await by.commit(TABLE, loaded.metadataLocation, next)) === 'conflict') {
      throw new Error('conflict')
    }
  }

  test('progress is read from the nearest ancestor that carries it, over ids above 2^53', async () => {
    await appended([file()], at(5), undefined)
    await foreignCommit(catalog, 3035272945390601066n)
    await foreignCommit(catalog, 3035272945390601067n)
    expect(await table.snapshot()).toMatchObject({
      snapshotId: 3035272945390601067n,
      progress: at(5),
      recordCount: 10,
    })
    const after = await appended([file()], at(6), at(5))
    expect(after).toMatchObject({ recordCount: 20, progress: at(6) })
    const text = Buffer.from(await object((await catalog.load(TABLE))!.metadataLocation)).toString()
    expect(text).toContain('"parent-snapshot-id":3035272945390601067,')
  })

  test('an append that loses to a foreign commit is tried again, and adds its files once', async () => {
    await appended([file()], at(5), undefined)
    const other = new ObjectStoreCatalog(openStore())
    let races = 0
    const racing = committing(async (...args) => {
      if (races++ < 3) await foreignCommit(other, 100 + races)
      return catalog.commit(...args)
    })
    const after = await open(store, racing).append([file()], at(6), at(5))
    expect(after).toMatchObject({ recordCount: 20, progress: at(6) })
    expect((await metadata()).snapshots).toHaveLength(5)
    expect((await metadata())['last-sequence-number']).toBe(5)
    const manifests: string[] = []
    for await (const key of store.list('shop/identities/metadata/')) {
      if (key.endsWith('-m0.avro')) manifests.push(key)
    }
    expect(manifests).toHaveLength(2)
  })

  test('a table with deletes of rows is refused, since our SQL would show the rows', async () => {
    await appended([file()], at(5), undefined)
    const loaded = (await catalog.load(TABLE))!
    const current = currentSnapshot(loaded.metadata)!
    const key = keyOf(store, current['manifest-list'])
    const [manifest] = decodeManifestList(await object(current['manifest-list']))
    await store.put(key, encodeManifestList(9, undefined, 1, [{ ...manifest!, content: 1 }]))
    await expect(open(store, catalog).snapshot()).rejects.toThrow('holds deletes of rows')
  })

  test('a manifest list that lost a manifest is refused', async () => {
    await appended([file()], at(1), undefined)
    await appended([file()], at(2), at(1))
    const current = currentSnapshot((await catalog.load(TABLE))!.metadata)!
    const manifests = decodeManifestList(await object(current['manifest-list']))
    expect(manifests).toHaveLength(2)
    const key = keyOf(store, current['manifest-list'])
    await store.put(key, encodeManifestList(9, undefined, 1, manifests.slice(1)))
    await expect(open(store, catalog).snapshot()).rejects.toThrow(
      'the snapshot has 20 records, its manifests name 10',
    )
  })

  test('an append that always loses gives up with an error, and changes nothing', async () => {
    await appended([file()], at(5), undefined)
    const losing = committing(async () => 'conflict')
    await expect(open(store, losing).append([file()], at(6), at(5))).rejects.toThrow(
      'lost 10 commits of shop/identities',
    )
    expect((await table.snapshot()).progress).toEqual(at(5))
  })

  test('a table whose progress has expired is an error, not a table without progress', async () => {
    await appended([file()], at(5), undefined)
    await foreignCommit(catalog, 77)
    const loaded = (await catalog.load(TABLE))!
    const expired = { ...loaded.metadata, snapshots: loaded.metadata.snapshots!.slice(1) }
    await catalog.commit(TABLE, loaded.metadataLocation, expired)
    await expect(table.snapshot()).rejects.toMatchObject({ code: 'data_damaged' })
    await expect(table.append([file()], at(6), undefined)).rejects.toMatchObject({
      code: 'data_damaged',
    })
  })
})

describe('what is written', () => {
  test('manifest lists name the newest manifest first, with its length, numbers and days', async () => {
    await appended([file(DAY), file(DAY + 3, 7)], at(1), undefined)
    await appended([file(DAY + 1)], at(2), at(1))
    const [first, second] = (await metadata()).snapshots!
    const list = decodeManifestList(await object(second!['manifest-list']))
    expect(list).toMatchObject([
      { sequence_number: 2, min_sequence_number: 2, added_snapshot_id: second!['snapshot-id'] },
      { sequence_number: 1, min_sequence_number: 1, added_snapshot_id: first!['snapshot-id'] },
    ])
    for (const manifest of list) {
      expect(manifest.manifest_length).toBe((await object(manifest.manifest_path)).byteLength)
    }
    expect(list[1]).toMatchObject({ added_files_count: 2, added_rows_count: 17, content: 0 })
    const day = (value: number) => Buffer.from(Int32Array.of(value).buffer)
    expect(list[1]!.partitions).toEqual([
      {
        contains_null: false,
        contains_nan: false,
        lower_bound: day(DAY),
        upper_bound: day(DAY + 3),
      },
    ])
    const header = decodeAvroFile(await object(second!['manifest-list'])).metadata
    expect(Object.fromEntries(header)).toMatchObject({
      'snapshot-id': String(second!['snapshot-id']),
      'parent-snapshot-id': String(first!['snapshot-id']),
      'sequence-number': '2',
      'format-version': '2',
    })
  })

  test('entries inherit their sequence numbers, and their paths name the bucket', async () => {
    const added = file()
    await appended([added], at(1), undefined)
    const [manifest] = decodeManifestList(
      await object((await metadata()).snapshots![0]!['manifest-list']),
    )
    const { entries } = decodeManifest(await object(manifest!.manifest_path))
    expect(entries).toMatchObject([
      {
        status: 1,
        sequence_number: null,
        file_sequence_number: null,
        data_file: {
          file_path: `s3://lake-test/${added.key}`,
          partition: { received_at_day: DAY },
        },
      },
    ])
  })

  test('summaries count what was added and what there is, and carry the progress', async () => {
    await appended([file(DAY), file(DAY + 1)], at(1), undefined)
    await appended([file(DAY)], at(2, 3), at(1))
    expect((await metadata()).snapshots![1]!.summary).toEqual({
      operation: 'append',
      'added-data-files': '1',
      'added-records': '10',
      'added-files-size': '1000',
      'changed-partition-count': '1',
      'total-data-files': '3',
      'total-records': '30',
      'total-files-size': '3000',
      'total-delete-files': '0',
      'total-position-deletes': '0',
      'total-equality-deletes': '0',
      'millrace.log-id': 'l',
      'millrace.next-offset': '2',
      'millrace.writer-epoch': '3',
    })
  })

  test('a manifest that is shorter than its list says is refused', async () => {
    await appended([file()], at(1), undefined)
    const [manifest] = decodeManifestList(
      await object((await metadata()).snapshots![0]!['manifest-list']),
    )
    const key = keyOf(store, manifest!.manifest_path)
    await store.put(key, (await store.get(key))!.subarray(0, -40))
    await expect(open(store, catalog).snapshot()).rejects.toThrow('bytes, not')
  })
})

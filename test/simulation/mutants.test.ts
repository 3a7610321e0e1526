/**
 * The simulation proves something only if it finds what is broken: every sync of the product is left
 * out in turn, and a few promises are broken by other means, and each time the same histories that
 * find nothing in the product must find a violation.
 */
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { FileSystem } from '../../packages/pipeline/src/kit/files.ts'
import { FolderObjectStore } from '../../packages/pipeline/src/lake/folder-object-store.ts'
import { LakeTable } from '../../packages/pipeline/src/lake/lake-table.ts'
import { BatchMemory } from '../../packages/pipeline/src/log/batch-memory.ts'
import { history } from './history.ts'
import type { ModelFiles, MountedFiles } from './model-files.ts'
import { playHistory, type Tampering } from './server-life.ts'
import { SyncSites } from './sync-sites.ts'

/** Histories in which a mutant must be found; the same ones each time. */
const RUNS_MAX = 300
/** Histories of a round; rounds until every sync has been reached, those on damage among them. */
const RUNS_TO_SEE = 100
const ROUNDS_TO_SEE_MAX = 8
const SEED = 1

/** Syncs that may be lost, and why. */
const HARMLESS: Readonly<Record<string, string>> = {
  'kit/files.ts replaceFile ← log/segment-writer.ts #seal sync':
    'a sidecar is only a copy: a torn one fails its check and is made again',
  'kit/files.ts replaceFile ← log/segment-writer.ts #seal syncFolder':
    'a sidecar that is missing is made again',
  'kit/files.ts replaceFile ← log/recovery.ts #sealed sync': 'as for #seal',
  'kit/files.ts replaceFile ← log/recovery.ts #sealed syncFolder': 'as for #seal',
  'kit/files.ts replaceFile ← log/epoch.ts takeEpoch sync':
    'power that goes takes every writer with it, and a torn line is replaced',
  'kit/files.ts replaceFile ← log/epoch.ts takeEpoch syncFolder': 'as above; see TOGETHER',
  'log/open-segment.ts openSynced syncFolder': 'takeEpoch has just synced the folder; see TOGETHER',
  'log/recovery.ts recoverLog syncFolder':
    'a torn segment that comes back holds nothing and is dropped again; a new one of its number is synced',
  'log/segment-writer.ts #cutBack syncFolder':
    'a segment that comes back holds nothing; the next record begins it anew and syncs its name',
  'log/quarantine.ts quarantine makeFolder':
    'the quarantine serves nobody: the segment is in its place, and what is lost is noted again',
  'log/quarantine.ts linked syncFolder': 'as above',
  'kit/files.ts replaceFile ← log/quarantine.ts noted sync': 'as above',
  'kit/files.ts replaceFile ← log/quarantine.ts noted syncFolder': 'as above',
  'lake/folder-object-store.ts delete syncFolder':
    'a deleted object that comes back is one that nothing names',
}

/** Either may be lost, since the other does the same; without both something must break. */
const TOGETHER = [
  [
    'kit/files.ts replaceFile ← log/epoch.ts takeEpoch syncFolder',
    'log/open-segment.ts openSynced syncFolder',
  ],
] as const

/** Seconds of one core when it is idle; a busy machine takes its time. */
vi.setConfig({ testTimeout: 300_000 })

/** Runs until a violation is found, and what it was. */
async function hunt(tampering: Tampering): Promise<{ runs: number; what: string }> {
  const property = fc.asyncProperty(history, async (given) => {
    await playHistory(given, tampering)
  })
  const found = await fc.check(property, { numRuns: RUNS_MAX, seed: SEED, endOnFailure: true })
  if (!found.failed) throw new Error(`not found in ${RUNS_MAX} histories`)
  const { name, message } = found.errorInstance as Error
  if (name !== 'Violation') throw found.errorInstance
  return { runs: found.numRuns, what: message }
}

describe('a sync left out', async () => {
  const sites = new SyncSites()
  const property = fc.asyncProperty(history, async (given) => {
    await playHistory(given, { files: (files) => sites.wrap(files) })
  })
  const isAllSeen = () => Object.keys(HARMLESS).every((name) => sites.found.has(name))
  for (let round = 0; round < ROUNDS_TO_SEE_MAX && !isAllSeen(); round++) {
    await fc.assert(property, { numRuns: RUNS_TO_SEE, seed: SEED + round })
  }

  for (const { name, line } of sites.found.values()) {
    test.skipIf(name in HARMLESS)(`of ${name} is found`, async () => {
      const mutant = new SyncSites(name)
      const { runs, what } = await hunt({ files: (files) => mutant.wrap(files) })
      console.log(`${runs}\t${line}\t${name}\t${what}`)
    })
  }

  test.each(TOGETHER)('of %s and of %s is found', async (...names) => {
    const mutant = new SyncSites(...names)
    const { runs, what } = await hunt({ files: (files) => mutant.wrap(files) })
    console.log(`${runs}\t${names.join(' and ')}\t${what}`)
  })

  test('is harmless only where it is said why, and nothing is said of what is not there', () => {
    expect([...sites.found.keys()]).toEqual(expect.arrayContaining(Object.keys(HARMLESS)))
  })
})

/** Acknowledges a sync before it is done: the real one comes later. */
function syncsLate(files: MountedFiles): FileSystem {
  return {
    ...files,
    open: async (path, mode) => {
      const file = await files.open(path, mode)
      return {
        ...file,
        sync: async () => {
          setImmediate(() => void file.sync().catch(() => {}))
        },
      }
    },
  }
}

describe('a broken promise is found:', () => {
  afterEach(() => void vi.restoreAllMocks())
  const expectFound = async (name: string, tampering: Tampering = {}) => {
    const { runs, what } = await hunt(tampering)
    console.log(`${runs}\t${name}\t${what}`)
  }

  test('a disk that says it has synced and has not', () => {
    const files = (mounted: MountedFiles, disk: ModelFiles) => {
      disk.lying = true
      return mounted
    }
    return expectFound('lying disk', { files })
  })

  test('an acknowledgement before the sync', () => {
    return expectFound('acknowledged early', { files: syncsLate })
  })

  test('a log that forgets which batches it has', () => {
    vi.spyOn(BatchMemory.prototype, 'get').mockReturnValue(undefined)
    vi.spyOn(BatchMemory.prototype, 'suspects').mockReturnValue([])
    return expectFound('no batch memory')
  })

  test('an append to the lake that does not look where the table stands', () => {
    const append = LakeTable.prototype.append
    vi.spyOn(LakeTable.prototype, 'append').mockImplementation(async function (
      this: LakeTable,
      files,
      progress,
    ) {
      return append.call(this, files, progress, (await this.snapshot()).progress)
    })
    return expectFound('progress not compared')
  })

  test('a store in which both of two writers win', () => {
    const put = FolderObjectStore.prototype.put
    vi.spyOn(FolderObjectStore.prototype, 'put').mockImplementation(function (
      this: FolderObjectStore,
      key,
      bytes,
    ) {
      return put.call(this, key, bytes)
    })
    return expectFound('onlyIfAbsent ignored')
  })
})

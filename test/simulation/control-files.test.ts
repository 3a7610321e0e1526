/**
 * The small files beside the two stores under power loss: the folder's marker, the first tenant's
 * credentials, the signing keys.
 *
 * Their code also looks at modes and locks, which are no business of `FileSystem`: for those a folder
 * of the real disk stands under the same path, with an empty file for each name of the model's.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { openDataFolder } from '../../packages/pipeline/src/entrypoints/data-folder.ts'
import { firstStart } from '../../packages/pipeline/src/tenants/first-start.ts'
import { MemoryTenantStore } from '../../packages/pipeline/src/tenants/memory-tenant-store.ts'
import { openSigningKeys } from '../../packages/pipeline/src/tenants/signing-keys.ts'
import { Dice } from './dice.ts'
import { ModelFiles, type MountedFiles } from './model-files.ts'
import { SyncSites } from './sync-sites.ts'

/** A process that died holds no lock; here it is the test's process, which lives on. */
vi.mock('../../packages/pipeline/src/kit/folder-lock.ts', () => ({
  acquireFolderLock: async () => ({ release: async () => {} }),
}))

const LIVES = 60
const LIVES_OF_MUTANT_MAX = 600
/** A start that makes its files takes some fifteen calls: most are cut short. */
const CALLS_MAX = 24
const clock = { now: () => 1_700_000_000_000 }

/** Seconds of one core when it is idle; a busy machine takes its time. */
vi.setConfig({ testTimeout: 300_000 })

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-control-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Real names for what the model holds. */
async function shadow(disk: ModelFiles): Promise<void> {
  const files = disk.observe()
  for (const name of ['', 'keys']) {
    const path = join(folder, name)
    mkdirSync(path, { recursive: true, mode: 0o700 })
    if (!(await files.exists(path))) continue
    for (const each of await files.list(path)) {
      if (each.endsWith('.json')) writeFileSync(join(path, each), '', { mode: 0o600 })
    }
  }
}

/**
 * Starts again and again, each start cut short by a power loss or a kill; what a start that came to
 * its end returned must be what the next one returns.
 */
async function lives(seed: number, start: Start, sites: SyncSites | undefined): Promise<void> {
  const dice = new Dice(seed)
  const disk = new ModelFiles(new Dice(seed ^ 0x5eed))
  await disk.observe().makeFolder(dirname(folder))
  let promised: unknown
  for (let death = 0; death < 4; death++) {
    await shadow(disk)
    let ended: { value: unknown } | { error: unknown } | undefined
    const mounted = disk.mount()
    const files = sites === undefined ? mounted : { ...mounted, ...sites.wrap(mounted) }
    void start(files, dice).then(
      (value) => {
        ended = { value }
      },
      (error) => {
        ended = { error }
      },
    )
    const isLast = death === 3
    const calls = disk.callCount + (isLast ? Number.POSITIVE_INFINITY : dice.below(CALLS_MAX))
    // In calls of the disk, not in turns: making keys and looking at modes take their own time.
    while (ended === undefined && disk.callCount < calls) await new Promise(setImmediate)
    if (ended !== undefined && 'error' in ended) throw ended.error
    if (ended !== undefined) {
      promised ??= ended.value
      expect(ended.value).toEqual(promised)
    }
    if (dice.oneIn(2)) disk.killProcess()
    else disk.losePower()
  }
}

type Start = (files: MountedFiles, dice: Dice) => Promise<unknown>

/** What each start returns that people and programs hold on to. */
const STARTS: Readonly<Record<string, () => Start>> = {
  'the bucket and its folder': () => async (files, dice) => {
    return (await openDataFolder(folder, undefined, files, dice)).bucket
  },
  'the credentials of the first tenant': () => {
    const store = new MemoryTenantStore()
    return async (files, random) => {
      await openDataFolder(folder, undefined, files, random)
      return (await firstStart({ store, folder, files, clock, random })).credentials
    }
  },
  'the signing keys': () => async (files, random) => {
    const place = { folder: join(folder, 'keys'), files, clock, random, warn: () => {} }
    return (await openSigningKeys(place)).jwks.keys.map(({ kid }) => kid)
  },
}

async function manyLives(count: number, start: () => Start, sites?: SyncSites): Promise<void> {
  for (let seed = 0; seed < count; seed++) {
    rmSync(folder, { recursive: true })
    mkdirSync(folder)
    await lives(seed, start(), sites)
  }
}

test.each(Object.entries(STARTS))('%s outlive a power loss at any call', (_, start) => {
  return manyLives(LIVES, start)
})

test('without any one of their syncs, one of them does not', async () => {
  const found = new Map<string, boolean>()
  for (const start of Object.values(STARTS)) {
    const sites = new SyncSites()
    await manyLives(LIVES, start, sites)
    for (const name of sites.found.keys()) {
      if (found.get(name)) continue
      const hunt = manyLives(LIVES_OF_MUTANT_MAX, start, new SyncSites(name))
      found.set(
        name,
        await hunt.then(
          () => false,
          () => true,
        ),
      )
    }
  }
  expect(found.size).toBeGreaterThan(6)
  expect([...found].filter(([, isFound]) => !isFound)).toEqual([])
})

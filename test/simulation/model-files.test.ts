/** The model is only as good as its likeness: without a power loss it is the real file system. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type FileSystem,
  nodeFiles,
  type OpenFile,
  readFile,
  replaceFile,
} from '../../packages/pipeline/src/kit/files.ts'
import { Dice } from './dice.ts'
import { ModelFiles } from './model-files.ts'

const path = fc.constantFrom('a', 'b', 'd/a', 'd/b', 'd/e/a', 'a/x', 'none/a')
const folder = fc.constantFrom('', 'd', 'd/e', 'a', 'none')
const place = fc.nat(30)
const operation = fc.oneof(
  fc.tuple(fc.constant('create'), path),
  fc.tuple(fc.constant('open'), path, fc.constantFrom('read', 'write')),
  fc.tuple(fc.constant('write'), place, fc.uint8Array({ maxLength: 20 })),
  fc.tuple(fc.constant('read'), place, place),
  fc.tuple(fc.constant('truncate'), place),
  fc.tuple(fc.constantFrom('size', 'sync', 'close')),
  fc.tuple(fc.constantFrom('rename', 'link'), path, path),
  fc.tuple(fc.constantFrom('remove', 'exists'), path),
  fc.tuple(fc.constantFrom('list', 'makeFolder', 'syncFolder'), folder),
) as fc.Arbitrary<readonly [string, ...unknown[]]>

type Operations = readonly (readonly [string, ...unknown[]])[]

/** What came of each operation, value or errno. The last opened file takes what files take. */
async function outcomes(files: FileSystem, root: string, operations: Operations) {
  const opened: OpenFile[] = []
  const found: unknown[] = []
  for (const [name, first, second] of operations) {
    const at = (part: unknown) => join(root, String(part))
    const file = opened.at(-1)
    const run = async (): Promise<unknown> => {
      switch (name) {
        case 'create':
        case 'open':
          opened.push(await files.open(at(first), name === 'create' ? name : (second as 'read')))
          return 'opened'
        case 'write':
          return file?.write(second as Uint8Array, first as number)
        case 'read':
          return file && [...(await file.read(first as number, second as number))]
        case 'truncate':
          return file?.truncate(first as number)
        case 'size':
          return file?.size()
        case 'sync':
          return file?.sync()
        case 'close':
          return opened.pop()?.close()
        case 'rename':
        case 'link':
          if (name === 'rename' && (await isFolder(files, at(first)))) return 'not modelled'
          return files[name](at(first), at(second))
        default:
          return files[name as 'list'](at(first))
      }
    }
    found.push(await run().catch((error) => error.code ?? error))
  }
  for (const file of opened) await file.close()
  return found
}

function isFolder(files: FileSystem, path: string): Promise<boolean> {
  return files.list(path).then(
    () => true,
    () => false,
  )
}

test('without a power loss it answers as the real file system does, errors included', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (operations) => {
      const root = mkdtempSync(join(tmpdir(), 'millrace-model-'))
      try {
        const disk = new ModelFiles(new Dice(1))
        await disk.observe().makeFolder(root)
        const model = await outcomes(disk.mount(), root, operations)
        expect(model).toEqual(await outcomes(nodeFiles, root, operations))
      } finally {
        rmSync(root, { recursive: true })
      }
    }),
    { numRuns: 150 },
  )
})

/** Every outcome that `seeds` power losses leave of what `act` did, as text. */
async function afterPowerLoss(
  act: (files: FileSystem, disk: ModelFiles) => Promise<unknown>,
  look: (files: FileSystem) => Promise<string>,
  seeds = 300,
): Promise<Set<string>> {
  const seen = new Set<string>()
  for (let seed = 0; seed < seeds; seed++) {
    const disk = new ModelFiles(new Dice(seed))
    await act(disk.observe(), disk)
    disk.losePower()
    seen.add(await look(disk.observe()).catch((error) => error.code))
  }
  return seen
}

async function put(files: FileSystem, path: string, text: string, sync = true): Promise<OpenFile> {
  const file = await files.open(path, 'create')
  await file.write(Buffer.from(text), 0)
  if (sync) await file.sync()
  return file
}

const text = (path: string) => async (files: FileSystem) =>
  Buffer.from(await readFile(files, path)).toString('latin1')

describe('a power loss', () => {
  test('leaves what was synced, file and folder, as it was', async () => {
    const act = async (files: FileSystem) => {
      await files.makeFolder('/d')
      await put(files, '/d/a', 'kept')
      await files.syncFolder('/d')
    }
    expect(await afterPowerLoss(act, text('/d/a'))).toEqual(new Set(['kept']))
  })

  test('takes a new name whose folder was not synced, or not', async () => {
    const seen = await afterPowerLoss((files) => put(files, '/a', 'kept'), text('/a'))
    expect(seen).toEqual(new Set(['kept', 'ENOENT']))
  })

  test('tears and reorders what was written since the sync, and keeps what was before', async () => {
    const act = async (files: FileSystem) => {
      const file = await put(files, '/a', 'A'.repeat(512))
      await files.syncFolder('/')
      await file.write(Buffer.from('B'.repeat(512)), 512)
      await file.write(Buffer.from('C'.repeat(512)), 1024)
    }
    const seen = [...(await afterPowerLoss(act, text('/a')))]
    expect(seen.every((each) => each.startsWith('A'.repeat(512)))).toBe(true)
    const some = (shape: RegExp) => expect(seen.some((each) => shape.test(each))).toBe(true)
    some(/^A{512}$/)
    some(/^A{512}B{512}C{512}$/)
    some(/^A{512}\0{512}C{512}$/)
    some(/^A{512}\0{1024}$/)
    some(/^A{512}B+\0+/)
    some(/^A{512}B{512}(?!$|C|\0\0)/)
  })

  test('leaves the old file or the new one of a rename, and perhaps the source', async () => {
    const act = async (files: FileSystem) => {
      await put(files, '/a', 'old')
      await put(files, '/b', 'new')
      await files.syncFolder('/')
      await files.rename('/b', '/a')
    }
    const look = async (files: FileSystem) =>
      `${await text('/a')(files)} ${await text('/b')(files).catch(() => '')}`
    expect(await afterPowerLoss(act, look)).toEqual(new Set(['old new', 'new new', 'new ']))
  })

  test('never loses a file that moves to a folder that is not synced', async () => {
    const act = async (files: FileSystem) => {
      await files.makeFolder('/d')
      await put(files, '/a', 'x')
      await files.syncFolder('/')
      await files.rename('/a', '/d/a')
      await files.syncFolder('/')
    }
    const look = async (files: FileSystem) =>
      `${await files.exists('/a')} ${await files.exists('/d/a')}`
    expect(await afterPowerLoss(act, look)).toEqual(
      new Set(['true false', 'true true', 'false true']),
    )
  })

  test('brings a removed name back unless the folder was synced', async () => {
    const act = async (files: FileSystem) => {
      await put(files, '/a', 'x')
      await files.syncFolder('/')
      await files.remove('/a')
    }
    expect(await afterPowerLoss(act, text('/a'))).toEqual(new Set(['x', 'ENOENT']))
  })

  test('does not mind what a kill leaves: the page cache stays', async () => {
    const disk = new ModelFiles(new Dice(1))
    const before = disk.mount()
    await put(before, '/a', 'x', false)
    disk.killProcess()
    expect(await text('/a')(disk.mount())).toBe('x')
    const late = await Promise.race([before.exists('/a'), disk.mount().exists('/b')])
    expect(late).toBe(false)
  })
})

test('replaceFile leaves the old text or the new one at every call', async () => {
  for (let seed = 0; seed < 500; seed++) {
    const disk = new ModelFiles(new Dice(seed))
    const files = disk.observe()
    await replaceFile(files, '/a', Buffer.from('old'))
    let isDone = false
    void replaceFile(disk.mount(), '/a', Buffer.from('new')).then(() => {
      isDone = true
    })
    for (let turn = seed % 20; turn > 0; turn--) await new Promise(setImmediate)
    disk.losePower()
    const left = await text('/a')(files)
    expect(isDone ? ['new'] : ['old', 'new']).toContain(left)
    // What was left half written is in nobody's way.
    await replaceFile(files, '/a', Buffer.from('next'))
    disk.losePower()
    expect(await text('/a')(files)).toBe('next')
  }
})

test('a sync that failed keeps a part and forgets the rest, and the next one succeeds', async () => {
  const seen = new Set<string>()
  for (let seed = 0; seed < 100; seed++) {
    const disk = new ModelFiles(new Dice(seed))
    const files = disk.mount()
    const file = await put(files, '/a', 'old')
    await files.syncFolder('/')
    await file.write(Buffer.from('new'), 0)
    disk.failCall(1, 'EIO')
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' })
    await file.sync()
    expect(await text('/a')(files)).toBe('new')
    disk.losePower()
    seen.add(await text('/a')(disk.mount()))
  }
  expect(seen).toContain('old')
  expect(seen).toContain('new')
})

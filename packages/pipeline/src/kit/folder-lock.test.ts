import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { acquireFolderLock } from './folder-lock.ts'

let base = ''
let folder = ''
const children: ChildProcess[] = []

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'millrace-lock-'))
  folder = join(base, 'data')
})
afterEach(async () => {
  for (const child of children.splice(0)) await killed(child)
  await rm(base, { recursive: true })
})

/** Another process that takes the lock, says how it went, and stays. */
async function otherProcess(): Promise<{ child: ChildProcess; said: string }> {
  const module = join(base, 'folder-lock.mjs')
  buildSync({
    entryPoints: [fileURLToPath(new URL('folder-lock.ts', import.meta.url))],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: module,
  })
  const script = `
    import { acquireFolderLock } from ${JSON.stringify(module)}
    const said = await acquireFolderLock(process.argv[1]).then(() => 'taken', (e) => e.code + ' ' + e.message)
    process.stdout.write(said)
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, folder])
  children.push(child)
  const said = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (data) => resolve(String(data)))
    child.stderr.once('data', (data) => reject(new Error(String(data))))
  })
  return { child, said }
}

async function killed(child: ChildProcess): Promise<void> {
  const exited = new Promise((resolve) => child.once('exit', resolve))
  if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await exited
}

test('a second process is refused and told who has it; after kill -9 the next takes over', async () => {
  const { child, said } = await otherProcess()
  expect(said).toBe('taken')
  await expect(acquireFolderLock(folder)).rejects.toMatchObject({
    code: 'data_in_use',
    message: expect.stringContaining(`process ${child.pid}`),
  })
  await killed(child)
  const lock = await acquireFolderLock(folder)
  expect((await readdir(folder)).filter((name) => name.startsWith('lock-'))).toHaveLength(1)
  expect((await otherProcess()).said).toContain(`data_in_use`)
  await lock.release()
  expect(await readdir(folder)).toEqual([])
})

test('the same process has it once, until it lets go; letting go twice is once', async () => {
  const lock = await acquireFolderLock(folder)
  await expect(acquireFolderLock(folder)).rejects.toMatchObject({ code: 'data_in_use' })
  await lock.release()
  const next = await acquireFolderLock(folder)
  await lock.release()
  await expect(acquireFolderLock(folder)).rejects.toMatchObject({ code: 'data_in_use' })
  await next.release()
})

test('a pid that was given to another process does not hold the folder', async () => {
  const lock = await acquireFolderLock(folder)
  await lock.release()
  // This process lives, but did not start then.
  await writeFile(join(folder, `lock-${process.ppid}-1b00000000`), '')
  await (await acquireFolderLock(folder)).release()
  expect(await readdir(folder)).toEqual([])
})

test('of many that race in one process exactly one has it', async () => {
  const race = await Promise.allSettled(Array.from({ length: 20 }, () => acquireFolderLock(folder)))
  const won = race.filter(({ status }) => status === 'fulfilled')
  expect(won).toHaveLength(1)
  await (won[0] as PromiseFulfilledResult<{ release(): Promise<void> }>).value.release()
})

test('a folder that cannot be made is named', async () => {
  await writeFile(join(base, 'file'), '')
  await expect(acquireFolderLock(join(base, 'file', 'data'))).rejects.toMatchObject({
    code: 'data_unreadable',
  })
})

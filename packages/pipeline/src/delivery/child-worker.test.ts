import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { nodeFiles } from '../kit/files.ts'
import { FolderObjectStore } from '../lake/folder-object-store.ts'
import { openLakeTable } from '../lake/lake-table.ts'
import { ObjectStoreCatalog } from '../lake/object-store-catalog.ts'
import { EVENTS } from '../lake/tables.ts'
import { openDiskLog } from '../log/disk-log.ts'
import { type ForkedDeliveryWorker, forkDeliveryWorker } from './child-worker.ts'
import { offsetIn } from './deliver-tenant.ts'
import type { DeliveryJob } from './delivery-job.ts'
import { DeliveryScheduler } from './scheduler.ts'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'millrace-worker-'))
const program = join(folder, 'delivery-worker.mjs')
const NO_JOB = { tenantId: 'acme', plan: { fromOffset: 0 }, sources: [] } as unknown as DeliveryJob
const workers: ForkedDeliveryWorker[] = []

/** The real program, built from the sources as they are. */
beforeAll(async () => {
  symlinkSync(at('../../../../node_modules'), join(folder, 'node_modules'))
  await build({
    entryPoints: [at('../entrypoints/delivery-worker.ts')],
    outfile: program,
    bundle: true,
    format: 'esm',
    platform: 'node',
    external: ['@duckdb/node-api'],
    alias: { '@millrace/protocol': at('../../../protocol/src/index.ts') },
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
    },
    logLevel: 'error',
  })
})
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.stop()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let folderNumber = 0
function start(more: { program?: string; idleMs?: number; jobMsMax?: number; stopMsMax?: number }) {
  const dataFolder = join(folder, `data-${folderNumber++}`)
  const worker = forkDeliveryWorker({ program, dataFolder, bucket: 'millrace-test', ...more })
  workers.push(worker)
  return { dataFolder, worker }
}

/** A program that misbehaves. */
function scriptOf(name: string, text: string): string {
  const path = join(folder, `${name}.mjs`)
  writeFileSync(path, text)
  return path
}

const isRunning = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10))
}

describe('the delivery process', () => {
  test('takes what the log has into the lake, and again after it was killed', async () => {
    const { dataFolder, worker } = start({})
    const log = await openDiskLog({
      folder: join(dataFolder, 'log'),
      files: nodeFiles,
      clock: systemClock,
      random: systemRandom,
    })
    const store = new FolderObjectStore(
      nodeFiles,
      join(dataFolder, 'lake'),
      'millrace-test',
      systemRandom,
    )
    const identifier = { namespace: 'acme', name: 'events' }
    const catalog = new ObjectStoreCatalog(store)
    const events = openLakeTable(store, catalog, identifier, EVENTS, systemClock, systemRandom)
    const scheduler = new DeliveryScheduler({
      reader: log,
      worker,
      tenant: () => ({ tenantId: 'acme', sources: [{ sourceNo: 1, name: 'web' }] }),
      deliveredOffset: async () => offsetIn(await events.snapshot(), log.logId),
      clock: systemClock,
      random: systemRandom,
    })
    const append = (batchId: string) =>
      log.append({
        tenantNo: 1,
        sourceNo: 1,
        receivedMs: Date.now(),
        sentMs: null,
        batchId,
        eventCount: 1,
        flags: 0,
        indexes: null,
        defaults: '{}',
        context: '{}',
        events: Buffer.from(`[{"eventType":"click","timestamp":${Date.now()},"path":"/"}]`),
        packed: null,
        rejections: [],
      })
    await append('a')
    expect(worker.pid).toBeUndefined()
    await scheduler.flush()
    expect(await events.snapshot()).toMatchObject({ recordCount: 1, progress: { nextOffset: 1 } })

    const { pid } = worker
    process.kill(pid!, 'SIGKILL')
    await until(() => worker.pid === undefined)
    await append('b')
    await scheduler.flush()
    expect(await events.snapshot()).toMatchObject({ recordCount: 2, progress: { nextOffset: 2 } })
    expect(worker.pid).not.toBe(pid)
    expect(readdirSync(join(dataFolder, 'spool', 'delivery'))).toEqual([])

    const last = worker.pid!
    await scheduler.stop()
    expect(isRunning(last)).toBe(false)
    await log.close()
  })

  test('says what went wrong, with its code and hint', async () => {
    const { worker } = start({})
    const piece = { path: join(folder, 'no-such-segment'), startByte: 11, endByte: 12 }
    const plan = { logId: 'ab', tenantNo: 1, fromOffset: 0, pieces: [piece], bytes: 1 }
    const job = { tenantId: 'acme', plan, sources: [] } as unknown as DeliveryJob
    await expect(worker.deliver(job)).rejects.toMatchObject({
      code: 'data_damaged',
      hint: expect.stringContaining('doctor'),
    })
  })

  test('ends when its parent is gone', async () => {
    const parent = scriptOf(
      'parent',
      `import { fork } from 'node:child_process'
       const child = fork(${JSON.stringify(program)}, [${JSON.stringify(join(folder, 'gone'))}, 'b'], { execArgv: [] })
       child.on('message', () => { process.send(child.pid); setInterval(() => {}, 1000) })
       child.send({ tenantId: 'no name', plan: {}, sources: [] })`,
    )
    const { fork } = await import('node:child_process')
    const started = fork(parent, [], { execArgv: [] })
    const pid = await new Promise<number>((resolve) =>
      started.once('message', resolve as () => void),
    )
    expect(isRunning(pid)).toBe(true)
    started.kill('SIGKILL')
    await until(() => !isRunning(pid))
  })

  test('is ended after a time without work, and started for the next job', async () => {
    const echo = scriptOf(
      'echo',
      "process.on('message', () => process.send({ result: process.pid }))",
    )
    const { worker } = start({ program: echo, idleMs: 30 })
    const first = (await worker.deliver(NO_JOB)) as unknown as number
    await until(() => worker.pid === undefined && !isRunning(first))
    expect(await worker.deliver(NO_JOB)).not.toBe(first)
  })

  test('yields the CPU to the server that started it', async () => {
    const echo = scriptOf('yields', "process.on('message', () => process.send({ result: 1 }))")
    const { worker } = start({ program: echo })
    await worker.deliver(NO_JOB)
    expect(getPriority(worker.pid)).toBe(Math.max(10, getPriority()))
  })

  test('that dies in a job costs that job alone', async () => {
    const dies = scriptOf(
      'dies',
      "process.on('message', (job) => job.plan.fromOffset ? process.send({ result: 1 }) : process.exit(9))",
    )
    const { worker } = start({ program: dies })
    const good = { ...NO_JOB, plan: { ...NO_JOB.plan, fromOffset: 1 } }
    const outcomes = await Promise.allSettled([worker.deliver(NO_JOB), worker.deliver(good)])
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'fulfilled'])
    expect(outcomes[0]).toMatchObject({ reason: { message: 'the delivery process ended with 9' } })
  })

  test('that cannot be started fails the job', async () => {
    const { worker } = start({ program: scriptOf('broken', 'throw 1').replace('broken', 'absent') })
    await expect(worker.deliver(NO_JOB)).rejects.toThrow('ended with 1')
  })

  test('that hangs is killed, by its own limit or by stop', async () => {
    const hangs = scriptOf('hangs', "process.on('message', () => {})")
    const slow = start({ program: hangs, jobMsMax: 50 }).worker
    const late = slow.deliver(NO_JOB)
    late.catch(() => {})
    await until(() => slow.pid !== undefined)
    const pid = slow.pid!
    await expect(late).rejects.toThrow('more than 50 ms')
    await until(() => !isRunning(pid))
    const stopped = start({ program: hangs, stopMsMax: 50 }).worker
    const job = stopped.deliver(NO_JOB)
    job.catch(() => {})
    await until(() => stopped.pid !== undefined)
    await stopped.stop()
    await expect(job).rejects.toThrow('SIGKILL')
    await expect(stopped.deliver(NO_JOB)).rejects.toThrow('stopped')
  })
})

/**
 * What many small tenants cost delivery: one commit of one event each, and looking at all of them.
 *
 *   node bench/small-tenants.mjs [--tenants 10000] [--delivered 200] [--commits 3]
 *
 * The log is filled with one event of each tenant; some of them are delivered, by the worker process as
 * the server starts it, again and again with one more event. CPU is that process's, read from
 * /proc; files and bytes are those of the lake. Then a scheduler begins anew, as at a start, and looks
 * at all tenants, none of which is due. Run `npm run build` before.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { cpuSeconds, machineLine, median } from './support/machine.mjs'

const { values: flags } = parseArgs({
  options: {
    tenants: { type: 'string', default: '10000' },
    delivered: { type: 'string', default: '200' },
    commits: { type: 'string', default: '3' },
  },
})
const [tenantCount, deliveredCount, commitCount] = [
  flags.tenants,
  flags.delivered,
  flags.commits,
].map(Number)
const dist = new URL('../packages/pipeline/dist/', import.meta.url)
const load = (name) => import(new URL(name, dist).href)
const { openDiskLog } = await load('log/disk-log.js')
const { forkDeliveryWorker } = await load('delivery/child-worker.js')
const { DeliveryScheduler } = await load('delivery/scheduler.js')
const { systemClock, systemRandom } = await load('kit/clock.js')
const { nodeFiles } = await load('kit/files.js')
const { FolderObjectStore } = await load('lake/folder-object-store.js')
const { LakeReader } = await load('lake/lake-reader.js')
const { ObjectStoreCatalog } = await load('lake/object-store-catalog.js')

const BUCKET = 'millrace-bench'
const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
const makers = { files: nodeFiles, clock: systemClock, random: systemRandom }
const log = await openDiskLog({ folder: join(folder, 'log'), ...makers })
const program = fileURLToPath(new URL('entrypoints/delivery-worker.js', dist))
const worker = forkDeliveryWorker({ program, dataFolder: folder, bucket: BUCKET })
try {
  console.log(machineLine())
  for (let from = 1; from <= tenantCount; from += 500) {
    const some = Array.from({ length: Math.min(500, tenantCount - from + 1) }, (_, at) => from + at)
    await Promise.all(some.map((tenantNo) => append(tenantNo, 0)))
  }
  await measureCommits()
  await measureLooks()
} finally {
  await worker.stop()
  await log.close()
  rmSync(folder, { recursive: true, force: true })
}

function append(tenantNo, round) {
  const now = Date.now()
  const event = { eventType: 'click', timestamp: now, path: '/', target: '#buy' }
  return log.append({
    ...{ tenantNo, sourceNo: 1, receivedMs: now, sentMs: null, batchId: `${tenantNo}-${round}` },
    ...{ eventCount: 1, flags: 0, indexes: null, defaults: '{}', context: '{}' },
    ...{ events: Buffer.from(JSON.stringify([event])), packed: null, rejections: [] },
  })
}

async function measureCommits() {
  const offsets = new Map()
  const deliver = async (tenantNo) => {
    const plan = log.plan(tenantNo, offsets.get(tenantNo) ?? 0, 1_048_576)
    const result = await worker.deliver({ tenantId: `t${tenantNo}`, plan, sources: [] })
    offsets.set(tenantNo, result.nextOffset)
  }
  // The process starts, and loads DuckDB, before anything is measured.
  await deliver(tenantCount)
  for (let commit = 1; commit <= commitCount; commit++) {
    const before = lakeSize()
    const cpu = cpuSeconds(worker.pid)
    const startedMs = performance.now()
    for (let tenantNo = 1; tenantNo <= deliveredCount; tenantNo++) await deliver(tenantNo)
    const each = (amount, digits = 1) => (amount / deliveredCount).toFixed(digits)
    const after = lakeSize()
    console.log(
      `commit ${commit} of ${deliveredCount} tenants, one event each: ` +
        `${each((cpuSeconds(worker.pid) - cpu) * 1_000)} ms CPU, ` +
        `${each(performance.now() - startedMs)} ms, ${each(after.files - before.files)} files, ` +
        `${each(after.bytes - before.bytes, 0)} bytes`,
    )
    for (let tenantNo = 1; tenantNo <= deliveredCount; tenantNo++) await append(tenantNo, commit)
  }
}

async function measureLooks() {
  const store = new FolderObjectStore(nodeFiles, join(folder, 'lake'), BUCKET, systemRandom)
  const lake = new LakeReader(store, new ObjectStoreCatalog(store), systemClock, systemRandom)
  const scheduler = new DeliveryScheduler({
    ...{ reader: log, worker, clock: systemClock, random: systemRandom },
    tenant: (tenantNo) => ({ tenantId: `t${tenantNo}`, sources: [] }),
    deliveredOffset: (tenantId) => lake.offset(tenantId, log.logId),
  })
  const timed = async (act) => {
    const before = process.cpuUsage()
    await act()
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1_000
  }
  const first = await timed(() => scheduler.tick())
  console.log(`where ${tenantCount} tenants stand, at a start: ${first.toFixed(0)} ms CPU, once`)
  const ticks = []
  for (let tick = 0; tick < 50; tick++) ticks.push(await timed(() => scheduler.tick()))
  console.log(`a tick when none is due: ${median(ticks).toFixed(1)} ms CPU (median of 50)`)
  const standing = await timed(() => scheduler.standing())
  console.log(`the standing: ${standing.toFixed(1)} ms CPU, once a second at most`)
}

function lakeSize() {
  const path = join(folder, 'lake')
  let [files, bytes] = [0, 0]
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    files++
    bytes += statSync(join(entry.parentPath ?? entry.path, entry.name)).size
  }
  return { files, bytes }
}

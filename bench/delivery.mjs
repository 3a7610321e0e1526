// What it costs to take events from the log into the lake: CPU seconds per million events, user and
// system, and bytes per event, against two yardsticks on the same events in the same run.
//
//   node bench/delivery.mjs [events=200000] [rounds=3]
//
//   delivery     the product's whole job: read the range and verify each record's check, spool it, rows
//                with all 47 columns, Parquet/zstd, files into the lake durably, three tables considered
//   duckdb       DuckDB alone: read_json of the bare events, one per line, typed, 13 columns → Parquet/zstd
//   json-parse   JSON.parse of each of those lines in V8, nothing else
//
// Each variant runs in a process of its own, in turn. Events are made up from a fixed seed: 84 % pointer
// moves, 25 a batch, about 400 B each, as the original architecture's tracker would send them. Their
// coordinates walk at random and their ids repeat within a visit, but real sites have more paths and
// longer ones: take the bytes for an order of magnitude.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const BATCH_EVENTS = 25
const START_MS = Date.UTC(2026, 0, 5, 8)

if (process.argv[2] === 'variant') await runVariant(process.argv[3], process.argv[4])
else await main(Number(process.argv[2] ?? 200_000), Number(process.argv[3] ?? 3))

async function main(eventCount, roundCount) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'millrace-bench-'))
  try {
    fs.symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
    await bundle(folder)
    await fill(folder, eventCount)
    const [cpu] = os.cpus()
    console.log(
      `${os.cpus().length} × ${cpu?.model.trim()}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`,
    )
    console.log(
      `${eventCount} events, ${roundCount} rounds in turn, load ${os
        .loadavg()
        .map((load) => load.toFixed(1))
        .join(' ')}`,
    )
    const results = new Map()
    for (let round = 0; round < roundCount; round++) {
      for (const variant of ['delivery', 'duckdb', 'json-parse']) {
        const args = [fileURLToPath(import.meta.url), 'variant', variant, folder]
        const result = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }))
        results.set(variant, [...(results.get(variant) ?? []), result])
      }
    }
    print(results, eventCount)
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}

function print(results, eventCount) {
  const floor = median(results.get('duckdb').map((result) => result.cpuSeconds))
  console.log(
    '\nvariant      CPU s per million events (min / median / max)   × duckdb   MiB   lake B/event',
  )
  for (const [variant, runs] of results) {
    const cpu = runs.map((run) => run.cpuSeconds).sort((a, b) => a - b)
    const perMillion = [cpu[0], median(cpu), cpu.at(-1)].map((seconds) =>
      ((seconds / eventCount) * 1e6).toFixed(2),
    )
    const bytes = runs[0].bytes === undefined ? '' : (runs[0].bytes / eventCount).toFixed(2)
    const memory = Math.max(...runs.map((run) => run.peakMiB))
    console.log(
      `${variant.padEnd(12)} ${perMillion.join(' / ').padEnd(47)} ${(median(cpu) / floor).toFixed(2).padStart(8)} ${String(memory).padStart(6)}   ${bytes}`,
    )
  }
  console.log(
    `log          ${(results.get('delivery')[0].logBytes / eventCount).toFixed(0)} B/event in the log`,
  )
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
}

/** The product's parts from their sources, so that what is measured is what is read. */
async function bundle(folder) {
  const { build } = await import('esbuild')
  const from = (name) => JSON.stringify(path.join(root, 'packages/pipeline/src', name))
  await build({
    stdin: {
      contents: `
        export { openParquetWriter } from ${from('adapters/duckdb/parquet-writer.ts')}
        export { deliverTenant, WriterEpochs } from ${from('delivery/deliver-tenant.ts')}
        export { openSpool } from ${from('delivery/spool.ts')}
        export { FLUSH_BYTES } from ${from('delivery/flush-policy.ts')}
        export { systemClock, systemRandom } from ${from('kit/clock.ts')}
        export { nodeFiles } from ${from('kit/files.ts')}
        export { FolderObjectStore } from ${from('lake/folder-object-store.ts')}
        export { openLakeTable } from ${from('lake/lake-table.ts')}
        export { ObjectStoreCatalog } from ${from('lake/object-store-catalog.ts')}
        export { TABLES } from ${from('lake/tables.ts')}
        export { openDiskLog } from ${from('log/disk-log.ts')}`,
      resolveDir: root,
      loader: 'ts',
    },
    outfile: path.join(folder, 'product.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    external: ['@duckdb/node-api'],
    alias: { '@millrace/protocol': path.join(root, 'packages/protocol/src/index.ts') },
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
    },
    logLevel: 'error',
  })
}

/** The same events as batches in a log and as bare lines in a file. */
async function fill(folder, eventCount) {
  const { openDiskLog, systemClock, systemRandom, nodeFiles } = await import(
    pathToFileURL(path.join(folder, 'product.mjs')).href
  )
  const log = await openDiskLog({
    folder: path.join(folder, 'log'),
    files: nodeFiles,
    clock: systemClock,
    random: systemRandom,
  })
  const lines = fs.openSync(path.join(folder, 'events.ndjson'), 'w')
  const context = JSON.stringify({
    browser: 'Chrome 140',
    os: 'Windows',
    device: 'desktop',
    country: 'DE',
    origin: 'https://shop.example',
    bot: false,
    gpc: false,
  })
  let batch = []
  let batchNumber = 0
  const waiting = []
  const append = async () => {
    const text = batch.map((event) => JSON.stringify(event))
    waiting.push(
      log.append({
        ...{ tenantNo: 1, sourceNo: 1, receivedMs: batch.at(-1).timestampMs, sentMs: null },
        ...{ batchId: hexOf(batchNumber++, 32), eventCount: batch.length, flags: 0, indexes: null },
        ...{ defaults: '{}', context, events: Buffer.from(`[${text.join(',')}]`), rejections: [] },
      }),
    )
    fs.writeSync(lines, `${text.join('\n')}\n`)
    batch = []
    if (waiting.length >= 200) await Promise.all(waiting.splice(0))
  }
  for (const event of events(eventCount)) {
    batch.push(event)
    if (batch.length === BATCH_EVENTS) await append()
  }
  if (batch.length > 0) await append()
  await Promise.all(waiting)
  await log.close()
  fs.closeSync(lines)
}

async function runVariant(variant, folder) {
  const started = { delivery: startDelivery, duckdb: startDuckdb, 'json-parse': startJsonParse }[
    variant
  ]
  const run = await started(folder)
  const before = process.cpuUsage()
  const more = await run()
  const used = process.cpuUsage(before)
  const peakMiB = Math.round(process.resourceUsage().maxRSS / 1024)
  console.log(JSON.stringify({ cpuSeconds: (used.user + used.system) / 1e6, peakMiB, ...more }))
}

async function startDelivery(folder) {
  const product = await import(pathToFileURL(path.join(folder, 'product.mjs')).href)
  const { nodeFiles: files, systemClock: clock, systemRandom: random } = product
  const log = await product.openDiskLog({ folder: path.join(folder, 'log'), files, clock, random })
  const lake = path.join(folder, 'lake')
  fs.rmSync(lake, { recursive: true, force: true })
  const store = new product.FolderObjectStore(files, lake, 'millrace-bench', random)
  const catalog = new product.ObjectStoreCatalog(store)
  const open = (table) =>
    product.openLakeTable(
      store,
      catalog,
      { namespace: 'bench', name: table.name },
      table,
      clock,
      random,
    )
  const tables = Object.fromEntries(product.TABLES.map((table) => [table.name, open(table)]))
  const spool = product.openSpool(path.join(folder, 'spool'))
  const parts = {
    files,
    random,
    store,
    spool,
    tables: () => tables,
    epochs: new product.WriterEpochs(),
  }
  const sources = [{ sourceNo: 1, name: 'web' }]
  return async () => {
    const writer = await product.openParquetWriter()
    let offset = 0
    let bytes = 0
    let logBytes = 0
    for (;;) {
      const plan = log.plan(1, offset, product.FLUSH_BYTES)
      if (plan === undefined) return { bytes, logBytes }
      const result = await product.deliverTenant(
        { ...parts, writer },
        { tenantId: 'bench', plan, sources },
      )
      if (result.status !== 'delivered') throw new Error(JSON.stringify(result))
      offset = result.nextOffset
      bytes += result.lakeBytes
      logBytes += result.logBytes
    }
  }
}

async function startDuckdb(folder) {
  const { DuckDBInstance } = await import(
    pathToFileURL(path.join(root, 'node_modules/@duckdb/node-api/lib/index.js')).href
  )
  const output = path.join(folder, 'plain.parquet')
  return async () => {
    const connection = await (
      await DuckDBInstance.create(':memory:', { threads: '1', memory_limit: '1GB' })
    ).connect()
    await connection.run(`COPY (SELECT "eventType", browser, "timestamp", path, target, "visitorId", "sessionId", seq,
        data."clientX" AS client_x, data."clientY" AS client_y, data."viewportW" AS viewport_w, data."viewportH" AS viewport_h, data.button AS button
      FROM read_json('${path.join(folder, 'events.ndjson')}', format = 'newline_delimited', columns = {"eventType": 'VARCHAR', browser: 'VARCHAR',
        "timestamp": 'TIMESTAMPTZ', path: 'VARCHAR', target: 'VARCHAR', "visitorId": 'VARCHAR', "sessionId": 'VARCHAR', seq: 'INTEGER',
        data: 'STRUCT("clientX" DOUBLE, "clientY" DOUBLE, "viewportW" INTEGER, "viewportH" INTEGER, button INTEGER)'}))
      TO '${output}' (FORMAT parquet, COMPRESSION zstd)`)
    return { bytes: fs.statSync(output).size }
  }
}

async function startJsonParse(folder) {
  return async () => {
    const bytes = fs.readFileSync(path.join(folder, 'events.ndjson'))
    let count = 0
    let start = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      if (JSON.parse(bytes.toString('utf8', start, end)).eventType) count++
      start = end + 1
    }
    return { count }
  }
}

function* events(count) {
  let state = 12_345
  // mulberry32: small, fast, the same everywhere.
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n) => Math.floor(random() * n)
  // A few of many are nearly all: log-uniform.
  const popular = (list) => list[Math.min(list.length - 1, Math.floor(list.length ** random() - 1))]
  const browsers = Array.from(
    { length: 60 },
    (_, n) =>
      `Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${90 + n}.0.0.0 Safari/537.36`,
  )
  const paths = Array.from(
    { length: 500 },
    (_, n) =>
      `/${['product', 'category', 'blog', 'account'][n % 4]}/${hexOf(n * 2_654_435_761, 6)}`,
  )
  const targets = Array.from(
    { length: 800 },
    (_, n) =>
      `body>main#content>section.${['hero', 'grid', 'list', 'cta'][n % 4]}>div:nth-child(${1 + (n % 9)})>button${n}`,
  )
  const newVisit = () => ({
    visitorId: hexOf(random() * 2 ** 48, 16),
    sessionId: hexOf(random() * 2 ** 48, 16),
    browser: popular(browsers),
    path: popular(paths),
    target: popular(targets),
    left: 30 + below(400),
    seq: 0,
    x: below(1_400),
    y: below(900),
  })
  const visits = Array.from({ length: 400 }, newVisit)
  let made = 0
  while (made < count) {
    const place = below(visits.length)
    const visit = visits[place]
    for (let burst = BATCH_EVENTS; burst > 0 && made < count; burst--, made++) {
      const dice = random()
      const eventType =
        dice < 0.84 ? 'pointermove' : dice < 0.95 ? 'scroll' : dice < 0.98 ? 'click' : 'page'
      if (eventType === 'page') visit.path = popular(paths)
      if (random() > 0.8) visit.target = popular(targets)
      visit.x = Math.max(0, Math.min(1_920, visit.x + below(41) - 20))
      visit.y = Math.max(0, Math.min(1_080, visit.y + below(41) - 20))
      // Ten hours, so that all is one day: what a commit nearly always is.
      const timestampMs = START_MS + Math.floor((made / count) * 36_000_000) + below(40)
      const event = {
        eventType,
        browser: visit.browser,
        timestamp: new Date(timestampMs).toISOString(),
        path: visit.path,
        target: visit.target,
        data: {
          clientX: visit.x,
          clientY: visit.y,
          viewportW: 1_920,
          viewportH: 1_080,
          ...(eventType === 'click' ? { button: 0 } : {}),
        },
        visitorId: visit.visitorId,
        sessionId: visit.sessionId,
        seq: visit.seq++,
      }
      yield Object.defineProperty(event, 'timestampMs', { value: timestampMs })
    }
    visit.left -= BATCH_EVENTS
    if (visit.left <= 0) visits[place] = newVisit()
  }
}

function hexOf(number, digits) {
  return Math.floor(number).toString(16).padStart(digits, '0').slice(-digits)
}

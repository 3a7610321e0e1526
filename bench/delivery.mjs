// What it costs to take events from the log into the lake: CPU seconds per million events (µs per
// event), user and system, and bytes per event, against yardsticks on the same events in the same run.
//
//   node bench/delivery.mjs [events=200000] [rounds=3] [--form objects|packed]
//
//   delivery     the product's whole job: read the range and verify each record's check, spool it, rows
//                with all 47 columns, Parquet/zstd, files into the lake durably, three tables considered
//   copy         DuckDB's own COPY of the same 47 columns from the same lines by the plainest SQL there
//                is: typed read_json, unnest, casts. Nothing is judged: no URL is split, no clock
//                corrected, no consent worked out, no event id looked for, no data without a column
//                kept, no check verified, nothing durable
//   rewrite      DuckDB's COPY of those 47 columns from the Parquet that `copy` made: no JSON is parsed
//                at all; what reading and writing columns alone costs
//   json-parse   JSON.parse of each line in V8, nothing else
//
// Each variant runs in a process of its own, in turn. Events are made up from a fixed seed, each of them
// different. Objects: 84 % pointer moves, 25 a batch, about 400 B each, as the original architecture's
// tracker would send them. Packed: 96 % pointer moves, 200 a batch, clicks and scrolls with an entry in
// `data`. A delivery is a flush for each 64 MiB of log; starting the process and the engine is in the
// figures and costs about 0.1 s, so few events look dear. Coordinates walk at random and ids repeat
// within a visit, but real sites have more paths and longer ones: take the bytes for an order of magnitude.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { plainRows } from './support/plain-rows.mjs'
import { hexOf, visits } from './support/visits.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const FORMS = {
  objects: { batchEvents: 25, moveShare: 0.84 },
  packed: { batchEvents: 200, moveShare: 0.96 },
}
const VARIANTS = {
  delivery: startDelivery,
  copy: startCopy,
  rewrite: startRewrite,
  'json-parse': startJsonParse,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { form: { type: 'string', default: 'objects' }, variant: { type: 'string' } },
})
const form = FORMS[values.form]
if (form === undefined) throw new Error(`--form is one of ${Object.keys(FORMS).join(', ')}`)
if (values.variant !== undefined) await runVariant(values.variant, positionals[0])
else await main(Number(positionals[0] ?? 200_000), Number(positionals[1] ?? 3))

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
      `${eventCount} events as ${values.form}, ${roundCount} rounds in turn, load ${os
        .loadavg()
        .map((load) => load.toFixed(1))
        .join(' ')}`,
    )
    const results = new Map()
    for (let round = 0; round < roundCount; round++) {
      for (const variant of Object.keys(VARIANTS)) {
        const options = ['--form', values.form, '--variant', variant, folder]
        const args = [fileURLToPath(import.meta.url), ...options]
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
  const cpuOf = (variant) => median(results.get(variant).map((result) => result.cpuSeconds))
  console.log(
    '\nvariant      CPU s per million events (min / median / max)   × copy   × rewrite   MiB   lake B/event',
  )
  const ratio = (cpu, variant) => (median(cpu) / cpuOf(variant)).toFixed(2)
  for (const [variant, runs] of results) {
    const cpu = runs.map((run) => run.cpuSeconds).sort((a, b) => a - b)
    const perMillion = [cpu[0], median(cpu), cpu.at(-1)].map((seconds) =>
      ((seconds / eventCount) * 1e6).toFixed(2),
    )
    const bytes = runs[0].bytes === undefined ? '' : (runs[0].bytes / eventCount).toFixed(2)
    const memory = Math.max(...runs.map((run) => run.peakMiB))
    console.log(
      `${variant.padEnd(12)} ${perMillion.join(' / ').padEnd(47)} ${ratio(cpu, 'copy').padStart(6)} ${ratio(cpu, 'rewrite').padStart(11)} ${String(memory).padStart(5)}   ${bytes}`,
    )
  }
  console.log(
    `load         ${os
      .loadavg()
      .map((load) => load.toFixed(1))
      .join(' ')} at the end`,
  )
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
        export { deliverTenant } from ${from('delivery/deliver-tenant.ts')}
        export { FLUSH_BYTES } from ${from('delivery/flush-policy.ts')}
        export { deliveryParts } from ${from('entrypoints/delivery-parts.ts')}
        export { systemClock, systemRandom } from ${from('kit/clock.ts')}
        export { nodeFiles } from ${from('kit/files.ts')}
        export { EVENTS } from ${from('lake/tables.ts')}
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

/** The same events in a log and, its lines alone, in a file. */
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
    waiting.push(
      log.append({
        ...{ tenantNo: 1, sourceNo: 1, receivedMs: batch.at(-1).timestampMs, sentMs: null },
        ...{ batchId: hexOf(batchNumber++, 32), eventCount: batch.length, flags: 0, indexes: null },
        ...{ context, rejections: [], ...bodyOf(batch) },
      }),
    )
    batch = []
    if (waiting.length >= 200) await Promise.all(waiting.splice(0))
  }
  for (const event of visits(eventCount, form)) {
    batch.push(event)
    if (batch.length === form.batchEvents) await append()
  }
  if (batch.length > 0) await append()
  await Promise.all(waiting)
  await log.close()
  const lines = fs.openSync(path.join(folder, 'lines.ndjson'), 'w')
  for (const name of fs.readdirSync(path.join(folder, 'log')).sort()) {
    if (!name.endsWith('.ndjson')) continue
    const segment = fs.readFileSync(path.join(folder, 'log', name))
    fs.writeSync(lines, segment, segment.indexOf(10) + 1)
  }
  fs.closeSync(lines)
}

/** What the log's record says of a batch's events, in the form that is measured. */
function bodyOf(batch) {
  if (values.form === 'objects') {
    return { defaults: '{}', events: Buffer.from(JSON.stringify(batch)), packed: null }
  }
  const { browser, path, visitorId, sessionId, seq, timestampMs: t0 } = batch[0]
  const types = [...new Set(batch.map((event) => event.eventType))]
  const targets = [...new Set(batch.map((event) => event.target))]
  const others = batch
    .map((event, place) => [place, event])
    .filter(([, { eventType }]) => eventType !== 'pointermove')
  const packed = {
    ...{ v: 1, t0, types, targets },
    t: batch.map((event) => Math.max(0, event.timestampMs - t0)),
    type: batch.map((event) => types.indexOf(event.eventType)),
    target: batch.map((event) => targets.indexOf(event.target)),
    seq,
    x: batch.map((event) => event.data.clientX),
    y: batch.map((event) => event.data.clientY),
    all: { offsetX: 0, offsetY: 340, pointerId: 1, pointerType: 'mouse' },
    data: Object.fromEntries(others.map(([place, { data }]) => [place, data])),
  }
  return {
    defaults: JSON.stringify({ browser, path, visitorId, sessionId }),
    events: Buffer.alloc(0),
    packed: Buffer.from(JSON.stringify(packed)),
  }
}

async function runVariant(variant, folder) {
  const run = await VARIANTS[variant](folder)
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
  for (const made of ['lake', 'spool']) {
    fs.rmSync(path.join(folder, made), { recursive: true, force: true })
  }
  const sources = [{ sourceNo: 1, name: 'web' }]
  return async () => {
    const writer = await product.openParquetWriter()
    const parts = product.deliveryParts(folder, 'millrace-bench', writer)
    let offset = 0
    let bytes = 0
    let logBytes = 0
    for (;;) {
      const plan = log.plan(1, offset, product.FLUSH_BYTES)
      if (plan === undefined) return { bytes, logBytes }
      const result = await product.deliverTenant(parts, { tenantId: 'bench', plan, sources })
      if (result.status !== 'delivered') throw new Error(JSON.stringify(result))
      offset = result.nextOffset
      bytes += result.lakeBytes
      logBytes += result.logBytes
    }
  }
}

async function startCopy(folder) {
  const { EVENTS } = await import(pathToFileURL(path.join(folder, 'product.mjs')).href)
  const rows = plainRows(values.form, path.join(folder, 'lines.ndjson'), EVENTS)
  return () => copyAlone(rows, path.join(folder, 'plain.parquet'))
}

async function startRewrite(folder) {
  const rows = `FROM read_parquet('${path.join(folder, 'plain.parquet')}')`
  return () => copyAlone(rows, path.join(folder, 'rewritten.parquet'))
}

async function copyAlone(rows, output) {
  const { DuckDBInstance } = await import(
    pathToFileURL(path.join(root, 'node_modules/@duckdb/node-api/lib/index.js')).href
  )
  const settings = { threads: '1', memory_limit: '1GB' }
  const connection = await (await DuckDBInstance.create(':memory:', settings)).connect()
  await connection.run(`COPY (${rows}) TO '${output}' (FORMAT parquet, COMPRESSION zstd)`)
  return { bytes: fs.statSync(output).size }
}

async function startJsonParse(folder) {
  return async () => {
    const bytes = fs.readFileSync(path.join(folder, 'lines.ndjson'))
    let count = 0
    let start = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      count += JSON.parse(bytes.toString('utf8', start, end)).n
      start = end + 1
    }
    return { count }
  }
}

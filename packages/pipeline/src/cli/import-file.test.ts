import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { limits } from '@millrace/protocol'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { acceptBatch, type Door } from '../collector/accept-batch.ts'
import { LoadGate } from '../collector/load-gate.ts'
import { Quota } from '../collector/quota.ts'
import { systemRandom } from '../kit/clock.ts'
import { MillraceError } from '../kit/errors.ts'
import { openMemoryLog } from '../log/memory-log.ts'
import { MemoryTenantStore } from '../tenants/memory-tenant-store.ts'
import { type Connection, RefusedError } from './connection.ts'
import {
  type Chunk,
  type ImportState,
  importFile,
  type Readable,
  readChunks,
} from './import-file.ts'

/** A file that gives at most `readMax` bytes at a time, as pipes and network disks do. */
function fileOf(bytes: Buffer, readMax = Number.POSITIVE_INFINITY): Readable {
  const read = async (into: Buffer, from: number, length: number, position: number) => {
    const end = Math.min(position + Math.min(length, readMax), bytes.length)
    const bytesRead = Math.max(0, bytes.copy(into, from, Math.min(position, end), end))
    return { buffer: into, bytesRead }
  }
  return { read } as unknown as Readable
}

async function chunksOf(file: Readable, fromByte = 0, fromLine = 0): Promise<Chunk[]> {
  const chunks: Chunk[] = []
  for await (const chunk of readChunks(file, fromByte, fromLine)) chunks.push(chunk)
  return chunks
}
const bounds = (chunks: readonly Chunk[]) =>
  chunks.map(({ startByte, endByte, firstLine, lines }) => [
    startByte,
    endByte,
    firstLine,
    lines.length,
  ])

describe('a file is cut into batches', () => {
  const run = fc.record({
    count: fc.integer({ min: 1, max: 700 }),
    length: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constant(3_000)),
    end: fc.constantFrom('\n', '\r\n'),
  })
  const contents = fc
    .tuple(fc.array(run, { maxLength: 5 }), fc.constantFrom('', 'last', '\r', '\n\n\n'))
    .map(([runs, last]) =>
      Buffer.from(
        `${runs.map(({ count, length, end }) => `${'x'.repeat(length)}${end}`.repeat(count)).join('')}${last}`,
      ),
    )

  test('that hold every byte once, in order, within the limits, wherever reading starts', async () => {
    await fc.assert(
      fc.asyncProperty(contents, fc.integer({ min: 1, max: 40 }), async (bytes, parts) => {
        const whole = await chunksOf(fileOf(bytes))
        let byte = 0
        let line = 1
        for (const chunk of whole) {
          expect([chunk.startByte, chunk.firstLine]).toEqual([byte, line])
          const text = bytes.toString('latin1', chunk.startByte, chunk.endByte)
          const lines = text.endsWith('\n') ? text.slice(0, -1) : text
          expect(chunk.lines.map((each) => each.toString('latin1')).join('\n')).toBe(lines)
          expect(chunk.lines.length).toBeLessThanOrEqual(limits.EVENTS_PER_BATCH_MAX)
          expect(text.length).toBeLessThan(limits.BODY_BYTES_MAX)
          byte = chunk.endByte
          line += chunk.lines.length
        }
        expect(byte).toBe(bytes.length)
        // The same bounds for any size of read, and from any bound on.
        const readMax = Math.ceil(bytes.length / parts) + 1
        expect(bounds(await chunksOf(fileOf(bytes, readMax)))).toEqual(bounds(whole))
        const middle = whole[whole.length >> 1]
        if (middle !== undefined) {
          const rest = await chunksOf(
            fileOf(bytes, readMax),
            middle.startByte,
            middle.firstLine - 1,
          )
          expect(bounds(rest)).toEqual(bounds(whole.slice(whole.length >> 1)))
        }
      }),
      { numRuns: 40 },
    )
  })

  test('as few as fit: a batch ends at 500 lines or before a line that does not fit', async () => {
    const [first, second] = await chunksOf(fileOf(Buffer.from('a\n'.repeat(501))))
    expect([first?.lines.length, second?.lines.length]).toEqual([500, 1])
    const large = `${'x'.repeat(400_000)}\n`.repeat(3)
    expect(bounds(await chunksOf(fileOf(Buffer.from(large))))).toMatchObject([
      [0, 800_002, 1, 2],
      [800_002, 1_200_003, 3, 1],
    ])
  })

  test('and an empty file into none', async () => {
    expect(await chunksOf(fileOf(Buffer.alloc(0)))).toEqual([])
  })

  test('a line without an end is refused by its number before it fills the memory', async () => {
    const endless = Buffer.concat([Buffer.from('a\n'), Buffer.alloc(9 << 20, 0x78)])
    await expect(chunksOf(fileOf(endless))).rejects.toMatchObject({ code: 'bad_input' })
  })
})

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-import-'))
  file = join(folder, 'events.ndjson')
})
afterEach(() => rmSync(folder, { recursive: true }))

/** The real door over a log in memory; `failAt` is the request that meets a server that is gone. */
async function door() {
  const store = new MemoryTenantStore()
  const facts = { tenantId: 'acme', name: 'Acme', synthetic: false, createdMs: 0 }
  const tenant = await store.addTenant(facts, {
    source: { name: 'web', writeKey: 'wk', origins: [], createdMs: 0 },
  })
  if (tenant === 'exists') throw new Error('a new store is empty')
  const clock = { now: () => 1_763_900_000_000 }
  const log = openMemoryLog({ clock, random: systemRandom })
  const free = { requestsPerSecond: 0, bytesPerSecond: 0 }
  const quota = new Quota({ key: free, tenant: free, server: free })
  const real: Door = {
    log,
    store,
    authorizeBearer: async () => ({ tenant }),
    stamp: () => '{}',
    clock,
    observer: { accepted: () => {} },
    gate: new LoadGate({
      quota,
      overdue: () => false,
      elapsed: () => 0,
      queue: {
        isFull: () => false,
        isCrowded: () => false,
        enter: (request) => request.begin(),
      },
    }),
  }
  const sent: string[] = []
  const state = { failAt: Number.POSITIVE_INFINITY }
  const call: Connection['call'] = async (_method, _path, body) => {
    if (sent.length >= state.failAt) throw new MillraceError('bad_config', 'the wire was cut')
    sent.push(/^\{"batchId":"([^"]+)"/.exec(Buffer.from(body as Buffer).toString())?.[1] ?? '')
    if ((body as Buffer).length > limits.BODY_BYTES_MAX)
      throw new RefusedError(413, 'too large', undefined)
    const outcome = await acceptBatch(real, {
      body: Buffer.from(body as Buffer),
      headers: { authorization: 'Bearer x' },
      writeKey: undefined,
      sourceName: undefined,
      idempotencyKey: undefined,
    })
    if ('code' in outcome) throw new RefusedError(outcome.status, outcome.detail, undefined)
    return Response.json(outcome)
  }
  const connection = { call } as Connection
  return { connection, sent, state, totals: () => log.totals(tenant.tenantNo) }
}

const event = (at: number) =>
  `{"eventType":"click","timestamp":${1_700_000_000_000 + at},"path":"/","seq":${at}}`
const send = (connection: Connection, more: { source?: string; historical?: boolean } = {}) =>
  importFile(connection, { file, historical: true, onProgress: () => {}, ...more })
const counts = ({ accepted, rejected, duplicate, malformed }: ImportState) => ({
  accepted,
  rejected,
  duplicate,
  malformed,
})

describe('an import', () => {
  test('sends every line, whatever ends it; blank ones are none', async () => {
    const { connection, sent, totals } = await door()
    writeFileSync(file, `${event(0)}\r\n\n  \r\n${event(1)}\n\t\n${event(2)}`)
    expect(counts(await send(connection))).toEqual({
      accepted: 3,
      rejected: 0,
      duplicate: 0,
      malformed: [],
    })
    expect(totals().acceptedCount).toBe(3)
    expect(sent).toHaveLength(1)
  })

  test('run again sends the same ids, and nothing is taken twice', async () => {
    const { connection, sent, totals } = await door()
    writeFileSync(file, Array.from({ length: 1_200 }, (_, at) => event(at)).join('\n'))
    await send(connection)
    const first = sent.splice(0)
    expect(first).toHaveLength(3)
    expect(counts(await send(connection))).toMatchObject({ accepted: 0, duplicate: 1_200 })
    expect(sent).toEqual(first)
    expect(totals().acceptedCount).toBe(1_200)
  })

  test('of other bytes, another source or other times has other ids', async () => {
    const { connection, sent } = await door()
    writeFileSync(file, event(0))
    await send(connection)
    await send(connection, { historical: false })
    writeFileSync(file, event(1))
    await send(connection)
    expect(new Set(sent).size).toBe(3)
  })

  test('reports broken lines by number, refused ones by count, and takes their neighbours', async () => {
    const { connection } = await door()
    const broken = ['{"eventType":', 'nonsense', ']', '1],"mood":[1', `"${'x'.repeat(1_100_000)}"`]
    const lines = [event(0), ...broken, '{"eventType":"","timestamp":1,"path":"/"}', '7', event(1)]
    writeFileSync(file, `${lines.join('\n')}\n`)
    const done = await send(connection)
    expect(counts(done)).toEqual({
      accepted: 2,
      rejected: 2,
      duplicate: 0,
      malformed: [2, 3, 4, 5, 6],
    })
  })

  test('lists at most 20 broken lines and counts the rest', async () => {
    const { connection } = await door()
    writeFileSync(file, `${'nonsense\n'.repeat(30)}${event(0)}`)
    const done = await send(connection)
    expect([done.accepted, done.malformedCount, done.malformed.length]).toEqual([1, 30, 20])
  })

  test('that was stopped goes on where the last answer was, with all that was counted', async () => {
    const { connection, sent, state, totals } = await door()
    const lines = Array.from({ length: 10_000 }, (_, at) => event(at))
    lines[700] = 'nonsense'
    writeFileSync(file, lines.join('\n'))
    state.failAt = 30
    await expect(send(connection)).rejects.toThrow('the wire was cut')
    const checkpoint = JSON.parse(readFileSync(`${file}.import-state.json`, 'utf8'))
    expect(checkpoint.bytes).toBeGreaterThan(0)
    state.failAt = Number.POSITIVE_INFINITY
    const before = new Set(sent.splice(0))
    const done = await send(connection)
    expect(done).toMatchObject({ malformed: [701], bytes: Buffer.byteLength(lines.join('\n')) })
    expect(done.accepted + done.duplicate).toBe(9_999)
    expect(totals().acceptedCount).toBe(9_999)
    expect(sent.some((id) => !before.has(id))).toBe(true)
    expect(() => readFileSync(`${file}.import-state.json`)).toThrow('ENOENT')
  })

  test('a checkpoint of other bytes, or half a one, is passed over', async () => {
    const { connection } = await door()
    writeFileSync(file, event(0))
    for (const text of ['{"identity":"x","bytes":99,"lines":9,"counts":{}}', '{"iden']) {
      writeFileSync(`${file}.import-state.json`, text)
      const { accepted, duplicate } = await send(connection)
      expect(accepted + duplicate).toBe(1)
    }
  })

  test('of what is no file says so', async () => {
    const { connection } = await door()
    for (const path of [folder, join(folder, 'none'), '/dev/null']) {
      const started = importFile(connection, { file: path, historical: true, onProgress: () => {} })
      await expect(started).rejects.toMatchObject({
        code: 'bad_input',
        message: expect.stringContaining(path),
      })
    }
  })
})

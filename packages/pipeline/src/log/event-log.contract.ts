/**
 * What every event log promises, as tests: call it with a way to open an empty log.
 */
import { afterEach, describe, expect, test } from 'vitest'
import type { FileSystem } from '../kit/files.ts'
import type { BatchEntry, LogReader, LogWriter } from './event-log.ts'
import { LogBusy } from './event-log.ts'

export interface OpenedLog {
  readonly writer: LogWriter
  readonly reader: LogReader
  /** Closes it and opens what it left; absent for a log that does not outlive its process. */
  readonly reopen?: () => Promise<OpenedLog>
  /** Removes what it left behind. */
  readonly dispose?: () => Promise<void>
}

/** A batch of `count` small events; `more` replaces single members. */
export function entryOf(batchId: string, count = 2, more: Partial<BatchEntry> = {}): BatchEntry {
  const events = Array.from({ length: count }, (_, index) => {
    return `{"eventType":"click","timestamp":1574000000000,"path":"/é","data":{"i":${index}}}`
  })
  return {
    tenantNo: 1,
    sourceNo: 1,
    receivedMs: 1_700_000_000_000,
    sentMs: 1_699_999_999_990,
    batchId,
    eventCount: count,
    flags: 0,
    indexes: null,
    defaults: '{"visitorId":"v1"}',
    context: '{"browser":"Firefox","os":null,"bot":false}',
    events: Buffer.from(`[${events.join(',')}]`),
    packed: null,
    rejections: [],
    ...more,
  }
}

export function linesOf(range: { lines: Uint8Array } | undefined) {
  const text = Buffer.from(range?.lines ?? []).toString()
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

/**
 * The same disk without its syncs, which cost most of the time and show only when power is lost.
 */
export function withoutSync(files: FileSystem): FileSystem {
  return {
    ...files,
    open: async (path, mode) =>
      Object.assign(await files.open(path, mode), { sync: async () => {} }),
    syncFolder: async () => {},
  }
}

const ALL = 1 << 30

export function eventLogContract(name: string, open: () => Promise<OpenedLog>): void {
  const opened: OpenedLog[] = []
  const fresh = async () => {
    const log = await open()
    opened.push(log)
    return log
  }
  afterEach(async () => {
    for (const log of opened.splice(0)) {
      await log.writer.close()
      await log.dispose?.()
    }
  })

  describe(`${name}: appending`, () => {
    test('an empty log has no tenant, no total, nothing pending and nothing to read', async () => {
      const { reader } = await fresh()
      expect(reader.logId).toMatch(/^[0-9a-f]{32}$/)
      expect(reader.end()).toBe(0)
      expect(reader.tenants()).toEqual([])
      expect(reader.totals(1)).toMatchObject({ acceptedCount: 0, rejectedCount: 0, recordCount: 0 })
      expect(reader.pending(1, 7)).toEqual({
        bytes: 0,
        recordCount: 0,
        eventCount: 0,
        oldestReceivedMs: null,
        nextOffset: 7,
      })
      expect(await reader.read(1, 0, ALL)).toBeUndefined()
    })

    test('offsets are dense from 0, and what is read back is what was appended', async () => {
      const { writer, reader } = await fresh()
      const rejection = {
        index: 1,
        code: 'bad_timestamp' as const,
        detail: 'it says "tomorrow"',
        pointer: '/timestamp',
        raw: '{"timestamp":"x\u2028\n,\\"p\\":null,\\"x\\":"}',
      }
      const appended = await Promise.all([
        writer.append(entryOf('a', 2)),
        writer.append(entryOf('b', 1, { rejections: [rejection], indexes: [0], flags: 5 })),
        writer.append(entryOf('c', 0, { rejections: [rejection], indexes: [], sentMs: null })),
      ])
      expect(appended.map(({ offset }) => offset)).toEqual([0, 1, 2])
      expect(appended[1]).toEqual({
        offset: 1,
        duplicate: false,
        acceptedCount: 1,
        rejectedCount: 1,
        conflict: false,
      })
      const [a, b, c] = linesOf(await reader.read(1, 0, ALL))
      expect(Object.keys(a).join('')).toBe('otsrqbnfidcepxk')
      expect(a).toMatchObject({ o: 0, t: 1, s: 1, b: 'a', n: 2, f: 0, i: null, x: null, p: null })
      expect(a).toMatchObject({ r: 1_700_000_000_000, q: 1_699_999_999_990 })
      expect(a.d).toEqual({ visitorId: 'v1' })
      expect(a.c).toEqual({ browser: 'Firefox', os: null, bot: false })
      expect(a.e[1]).toMatchObject({ path: '/é', data: { i: 1 } })
      expect(b).toMatchObject({ o: 1, n: 1, f: 5, i: [0], x: [rejection] })
      expect(c).toMatchObject({ o: 2, n: 0, e: null, i: [], x: [rejection], q: null })
      expect(reader.totals(1)).toMatchObject({ acceptedCount: 3, rejectedCount: 2, recordCount: 3 })
      expect(reader.end()).toBe(3)
    })

    test('a batch sent again is a duplicate with the first counts, and changes nothing', async () => {
      const { writer, reader } = await fresh()
      await writer.append(entryOf('a', 3))
      const again = await writer.append(entryOf('a', 3, { sentMs: 5 }))
      expect(again).toMatchObject({ duplicate: true, acceptedCount: 3, conflict: false })
      expect(reader.end()).toBe(1)
    })

    test('a duplicate with another count of events is a conflict', async () => {
      const { writer } = await fresh()
      await writer.append(entryOf('a', 3))
      const again = await writer.append(entryOf('a', 2))
      expect(again).toMatchObject({ duplicate: true, acceptedCount: 3, conflict: true })
    })

    test('the same batch twice at once is appended once, and both hear of it', async () => {
      const { writer, reader } = await fresh()
      const both = await Promise.all([writer.append(entryOf('a')), writer.append(entryOf('a'))])
      expect(both.map(({ duplicate }) => duplicate)).toEqual([false, true])
      expect(reader.totals(1).recordCount).toBe(1)
    })

    test('one batch id of two sources or two tenants is two batches', async () => {
      const { writer } = await fresh()
      const answers = await Promise.all([
        writer.append(entryOf('a')),
        writer.append(entryOf('a', 2, { sourceNo: 2 })),
        writer.append(entryOf('a', 2, { tenantNo: 2 })),
      ])
      expect(answers.map(({ duplicate }) => duplicate)).toEqual([false, false, false])
    })

    test('what cannot be one line is refused, and its neighbours are kept', async () => {
      const { writer, reader } = await fresh()
      const bad = entryOf('bad', 1, { events: Buffer.from('[{"a":\n1}]') })
      const [before, refused, after] = await Promise.allSettled([
        writer.append(entryOf('a')),
        writer.append(bad),
        writer.append(entryOf('b')),
      ])
      expect(before.status).toBe('fulfilled')
      expect(refused).toMatchObject({ status: 'rejected', reason: { name: 'RangeError' } })
      expect(after).toMatchObject({ status: 'fulfilled', value: { offset: 1 } })
      expect(linesOf(await reader.read(1, 0, ALL)).map(({ b }) => b)).toEqual(['a', 'b'])
    })

    test('close waits for what is under way; then nothing is taken; twice is once', async () => {
      const { writer } = await fresh()
      const underWay = writer.append(entryOf('a'))
      await Promise.all([writer.close(), writer.close()])
      expect(await underWay).toMatchObject({ offset: 0 })
      await expect(writer.append(entryOf('b'))).rejects.toBeInstanceOf(LogBusy)
    })
  })

  describe(`${name}: reading`, () => {
    test('tenants that took turns are read each alone, in the order of offsets', async () => {
      const { writer, reader } = await fresh()
      for (let turn = 0; turn < 30; turn++) {
        await writer.append(entryOf(`b${turn}`, 1, { tenantNo: [3, 3, 1][turn % 3]! }))
      }
      expect(reader.tenants()).toEqual([1, 3])
      const ones = linesOf(await reader.read(1, 0, ALL))
      expect(ones.map(({ o }) => o)).toEqual([2, 5, 8, 11, 14, 17, 20, 23, 26, 29])
      const threes = linesOf(await reader.read(3, 10, ALL))
      expect(threes.map(({ o }) => o).slice(0, 3)).toEqual([10, 12, 13])
      expect(new Set(threes.map(({ t }) => t))).toEqual(new Set([3]))
    })

    test('from any offset on: pending and read agree, at every bound of bytes', async () => {
      const { writer, reader } = await fresh()
      const entries = Array.from({ length: 12 }, (_, turn) => {
        const tenantNo = turn % 4 === 3 ? 2 : 1
        return entryOf(`b${turn}`, 1 + turn, { tenantNo, receivedMs: 1_000 + turn })
      })
      await Promise.all(entries.map((entry) => writer.append(entry)))
      for (let from = 0; from <= 12; from++) {
        const pending = reader.pending(1, from)
        const all = await reader.read(1, from, ALL)
        expect(all?.lines.byteLength ?? 0).toBe(pending.bytes)
        expect(all?.recordCount ?? 0).toBe(pending.recordCount)
        expect(all?.eventCount ?? 0).toBe(pending.eventCount)
        expect(linesOf(all)[0]?.r ?? null).toBe(pending.oldestReceivedMs)
        expect(all?.nextOffset ?? from).toBe(pending.nextOffset)
        for (const bytesMax of [0, 1, 700, 1_500, pending.bytes]) {
          const some = await reader.read(1, from, bytesMax)
          if (some === undefined) continue
          expect(some.recordCount).toBeGreaterThan(0)
          if (some.recordCount > 1) expect(some.lines.byteLength).toBeLessThanOrEqual(bytesMax)
          expect(linesOf(some).at(-1).o + 1).toBe(some.nextOffset)
        }
      }
    })

    test('reading on from nextOffset meets every record once', async () => {
      const { writer, reader } = await fresh()
      await Promise.all(Array.from({ length: 40 }, (_, turn) => writer.append(entryOf(`b${turn}`))))
      const seen: number[] = []
      for (let from = 0; ; ) {
        const range = await reader.read(1, from, 900)
        if (range === undefined) break
        seen.push(...linesOf(range).map(({ o }) => o))
        from = range.nextOffset
      }
      expect(seen).toEqual(Array.from({ length: 40 }, (_, offset) => offset))
    })
  })

  describe(`${name}: committing`, () => {
    test('changes no total and nothing from the committed offset on, however often it is said', async () => {
      const { writer, reader } = await fresh()
      const entries = Array.from({ length: 12 }, (_, turn) => {
        return entryOf(`b${turn}`, 1 + turn, { tenantNo: 1 + (turn % 2) })
      })
      for (const entry of entries) await writer.append(entry)
      const told = async () => ({
        totals: [reader.totals(1), reader.totals(2)],
        pending: [reader.pending(1, 7), reader.pending(2, 7)],
        lines: [linesOf(await reader.read(1, 7, ALL)), linesOf(await reader.read(2, 7, ALL))],
        end: reader.end(),
        tenants: reader.tenants(),
      })
      const before = await told()
      for (const offset of [3, 7, 7, 5, 7]) reader.commit(1, offset)
      reader.commit(9, 4)
      expect(await told()).toEqual(before)
      expect(await writer.append(entries[0]!)).toMatchObject({ duplicate: true })
    })
  })

  describe(`${name}: opening again`, () => {
    test('records, offsets, totals, identity and batch ids outlive the process', async (context) => {
      const first = await fresh()
      if (first.reopen === undefined) return context.skip()
      for (let turn = 0; turn < 20; turn++) {
        await first.writer.append(entryOf(`b${turn}`, 1, { tenantNo: 1 + (turn % 2) }))
      }
      const before = await first.reader.read(2, 0, ALL)
      const second = await first.reopen()
      opened.push(second)
      expect(second.reader.logId).toBe(first.reader.logId)
      expect(second.reader.end()).toBe(20)
      expect(second.reader.totals(1)).toEqual(first.reader.totals(1))
      expect(await second.reader.read(2, 0, ALL)).toEqual(before)
      expect(await second.writer.append(entryOf('b7', 1, { tenantNo: 2 }))).toMatchObject({
        duplicate: true,
        acceptedCount: 1,
      })
      expect(await second.writer.append(entryOf('new'))).toMatchObject({ offset: 20 })
    })
  })
}

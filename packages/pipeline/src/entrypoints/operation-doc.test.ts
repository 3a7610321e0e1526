/** docs/operation.md prints settings, exit codes, metrics and limits; this holds them to the code. */
import { readFileSync } from 'node:fs'
import { limits } from '@millrace/protocol'
import { Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import { LiveFeed } from '../collector/live-feed.ts'
import { Traffic } from '../collector/traffic.ts'
import { standingOf } from '../delivery/standing.ts'
import { ERRORS } from '../kit/errors.ts'
import { SETTINGS } from './config.ts'
import { meterDelivery } from './delivery-status.ts'
import { meterDamage } from './log-metrics.ts'
import { retentionMetrics } from './retention-metrics.ts'

const NO_COUNTS = { failures: 0, delivered: 0, undeliverable: 0, suppressed: 0 }
const DOC = readFileSync(new URL('../../../../docs/operation.md', import.meta.url), 'utf8')
/** Rows of tables below a heading, without the white space that aligns them. */
function rowsBelow(heading: string): readonly string[] {
  const section = DOC.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ''
  return section
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[\s|:-]+$/.test(line))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim())
        .join(' | '),
    )
}
const code = (text: string | undefined) => (text === undefined ? '–' : `\`${text}\``)

test('the table of settings is the one in the code', () => {
  const rows = SETTINGS.map(({ name, flag, env, fallback, allowed, help }) =>
    [code(name), code(flag.split(' ')[0]), code(env), code(fallback), allowed, help].join(' | '),
  )
  expect(rowsBelow('Settings').slice(1)).toEqual(rows)
})

test('the table of exit codes is the one in the code', () => {
  const rows = Object.entries(ERRORS).map(([name, { exitCode, hint }]) =>
    [exitCode, code(name), hint].join(' | '),
  )
  expect(rowsBelow('Exit codes').slice(1)).toEqual(rows)
})

test('every metric of ours is named, with its type and what it counts', async () => {
  const registry = new Registry()
  meterDamage(registry, { damage: () => ({ recordCount: 0, segmentCount: 0 }) })
  retentionMetrics(registry, () => ({ segmentCount: 1, bytes: 1, droppedSegmentCount: 0 }))
  const noop = () => {}
  new Traffic(registry, new LiveFeed({ now: () => 0 }), noop, noop)
  meterDelivery(registry, () => standingOf([], NO_COUNTS), String)
  const metrics = await registry.getMetricsAsJSON()
  expect(metrics.length).toBeGreaterThan(0)
  for (const { name, type, help } of metrics)
    expect(rowsBelow('Health and metrics')).toContain([code(name), type, help].join(' | '))
})

describe('limits', () => {
  const DAY_MS = 86_400_000
  const number = (value: number) => value.toLocaleString('en')
  test.each([
    ['body of a request, after decompression', `${number(limits.BODY_BYTES_MAX)} bytes`],
    ['events in a batch', number(limits.EVENTS_PER_BATCH_MAX)],
    ['packed events in a batch', number(limits.PACKED_EVENTS_MAX)],
    ['`types` of packed events', number(limits.PACKED_TYPES_MAX)],
    ['`targets` of packed events', number(limits.PACKED_TARGETS_MAX)],
    ['milliseconds from `t0` to a packed event', number(limits.PACKED_SPAN_MAX_MS)],
    ['packed coordinates and offsets', `±${limits.COORDINATE_MAX.toString().replace('+', '')}`],
    ['packed `pointerType`', `${number(limits.POINTER_TYPE_LENGTH_MAX)} characters`],
    ['`timestamp` as epoch milliseconds', number(limits.EPOCH_MAX_MS)],
    ['one event', `${number(limits.EVENT_BYTES_MAX)} bytes`],
    ['levels of nesting in an event', number(limits.DEPTH_MAX)],
    ['members of one object', number(limits.KEYS_PER_OBJECT_MAX)],
    ['`eventType`', `${number(limits.EVENT_TYPE_LENGTH_MAX)} characters`],
    ['`browser`', `${number(limits.BROWSER_LENGTH_MAX)} characters`],
    ['`timestamp`', `${number(limits.TIMESTAMP_LENGTH_MAX)} characters`],
    ['`path`', `${number(limits.PATH_LENGTH_MAX)} characters`],
    ['`target`', `${number(limits.TARGET_LENGTH_MAX)} characters`],
    [
      'ids (`eventId`, `visitorId`, `userId`, `sessionId`, `pageId`, `batchId`)',
      `${number(limits.ID_LENGTH_MAX)} characters`,
    ],
    ['`seq` and integers with a column', number(limits.INTEGER_MAX)],
    [
      "age of an event's time that is believed",
      `${limits.CLOCK_PAST_MAX_MS / DAY_MS} days before, ${limits.CLOCK_FUTURE_MAX_MS / 60_000} minutes after its receipt`,
    ],
    [
      'difference of clocks that is corrected',
      `${limits.CLOCK_CORRECTION_MIN_MS / 1_000} seconds and more`,
    ],
  ])('%s: %s', (what, limit) => {
    expect(rowsBelow('Limits')).toContain(`${what} | ${limit}`)
  })

  test('none of the wire is left out', () => {
    // One row is the header, and the two bounds of an event's time share one.
    expect(rowsBelow('Limits')).toHaveLength(Object.keys(limits).length)
  })
})

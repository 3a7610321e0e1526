/**
 * The made-up visits of `millrace simulate`: taken by the door, and what is planted in them is found by SQL.
 *
 * A quarter of what the demo loads. The same seed makes the same visits, so the figures only change with
 * the model.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  bearerToken,
  millrace,
  readCredentials,
  type Server,
  sqlRows,
  startServer,
  stopped,
} from '../support/server.mjs'

const VISITS = 600
/** The demo's 2,400 visits come to about 1.5 million events. */
const EVENTS_MIN = (VISITS / 2_400) * 1_400_000
const EVENTS_MAX = (VISITS / 2_400) * 1_600_000

const VISIT = `select client_session_id as visit, any_value(device) as device, bool_or(bot) as bot,
  coalesce(max(utm_campaign), 'none') = 'river-week' as strong,
  bool_or(path = '/shop/checkout') as at_checkout, bool_or(path = '/shop/thanks') as bought
  from events group by client_session_id`

let folder: string
let server: Server
let token: string
let said: string

const rows = (sql: string) => sqlRows(server.url, token, sql)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-sample-'))
  server = await startServer(join(folder, 'data'))
  token = await bearerToken(server.url, readCredentials(server.data))
  const done = await millrace(['simulate', '--data', server.data, '--visits', String(VISITS)])
  said = done.stderr
  expect(done).toMatchObject({ code: 0 })
}, 120_000)

afterAll(async () => {
  await stopped(server)
  rmSync(folder, { recursive: true })
})

test('every event that was said to be taken is in SQL, and the refused ones are rejections', async () => {
  const [, taken = '', refused] = /visits, ([\d,]+) events, (\d+) refused/.exec(said) ?? []
  const [[events, visits]] = (await rows(
    'select count(*), count(distinct client_session_id) from events',
  )) as [[number, number]]
  expect(visits).toBe(VISITS)
  expect(events).toBe(Number(taken.replaceAll(',', '')))
  expect(events).toBeGreaterThan(EVENTS_MIN)
  expect(events).toBeLessThan(EVENTS_MAX)
  expect(refused).toBe('37')
  expect(await rows('select count(*) from rejections')).toEqual([[37]])
})

test('a second run with the same seed takes nothing twice', async () => {
  const before = await rows('select count(*) from events')
  const { stderr } = await millrace(['simulate', '--data', server.data, '--visits', '40'])
  expect(stderr).toMatch(/40 made-up visits, 0 events/)
  expect(await rows('select count(*) from events')).toEqual(before)
})

test('3 to 5 of 100 visits are bots, by their user agents', async () => {
  const [[share]] = (await rows(`select avg(bot::int) from (${VISIT})`)) as [[number]]
  expect(share).toBeGreaterThan(0.03)
  expect(share).toBeLessThan(0.05)
})

test('the campaign river-week converts about twice as well as the rest', async () => {
  const shares = await rows(
    `select avg(bought::int) from (${VISIT}) where not bot group by strong order by strong`,
  )
  const [[rest], [strong]] = shares as [[number], [number]]
  // A hundred visitors: chance moves it by a fifth.
  expect(strong / rest).toBeGreaterThan(1.5)
})

test('visitors with tablets leave between checkout and thanks, those at a desktop do not', async () => {
  const shares = Object.fromEntries(
    await rows(
      `select device, avg(bought::int) from (${VISIT}) where at_checkout and not bot group by device`,
    ),
  )
  expect(Object.keys(shares).sort()).toEqual(['desktop', 'mobile', 'tablet'])
  expect(shares.desktop).toBeGreaterThan(0.6)
  expect(shares.tablet).toBeLessThan(shares.desktop / 2)
})

test('on mobile the order button is tapped in anger, and nowhere else is anything', async () => {
  const angry = await rows(`select device, target, count(distinct page_id) from (
      select *, event_time - lag(event_time, 2)
        over (partition by page_id, target order by seq) as three_clicks
      from events where event_type = 'click' and not bot
    ) where three_clicks <= interval 1 second group by all`)
  expect(angry).toEqual([['mobile', '[data-track="place-order"]', expect.any(Number)]])
  const [[pages]] = (await rows(
    `select count(*) from (${VISIT}) where device = 'mobile' and at_checkout`,
  )) as [[number]]
  expect(angry[0]![2] / pages).toBeGreaterThan(0.6)
})

test('clicks fall on what they aim at, at every width of window', async () => {
  const places = await rows(`select width, median(page_x), median(page_y) from (
      select *, any_value(viewport_w) over (partition by page_id) as width from events
    ) where event_type = 'click' and target = '[data-track="add-to-cart"]' and device = 'desktop'
    group by width order by width`)
  // The shop is centred: what stands at 963 of 1,280 pixels does so at 1,043 of 1,440.
  const expected = [
    [1_280, 963],
    [1_440, 1_043],
    [1_920, 1_283],
  ]
  expect(places).toHaveLength(expected.length)
  for (const [at, [width, x, y]] of places.entries()) {
    expect(width).toBe(expected[at]![0])
    expect(Math.abs(x - expected[at]![1]!)).toBeLessThan(20)
    expect(Math.abs(y - 543)).toBeLessThan(5)
  }
})

/**
 * A visit to the demo shop in a real browser: what its pages dispatched is what SQL has, type by type, and
 * nothing that was typed or that hid in the address is anywhere.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { type Demo, startDemo, stopDemo } from '../support/demo.ts'
import { type Counts, countEvents, countsOf } from '../support/page-counts.ts'
import { bearerToken, readCredentials, sqlRows } from '../support/server.mjs'

const REAL_MOVES_PER_PAGE = 70
const DISPATCHED_MOVES_PER_PAGE = 300
const ARRIVE_MAX_MS = 15_000
const ENTRY =
  '/shop/?utm_source=mail&utm_medium=email&utm_campaign=high-water&reset=canary-parameter#canary-fragment'
/** What is typed into the checkout, by field. */
const TYPED = {
  'field-name': 'Canary Weir',
  'field-street': '7 canarystreet',
  'field-postcode': '40417',
  'field-town': 'Canarytown',
  'field-card': '4929 5813 0627 7714',
  'field-until': '11/31',
  'field-code': '857',
}

interface Tracker {
  millrace: (verb: string) => { pending: number; visitorId: string }
}

let folder: string
let demo: Demo
let token: string
let browser: Browser
let context: BrowserContext
let page: Page
let dispatched: Counts
let visitorId: string

const rows = (sql: string) => sqlRows(demo.url, token, sql)

async function countsInSql(): Promise<Counts> {
  const visitor = `visitor_id = '${visitorId}'`
  return Object.fromEntries(
    await rows(`select event_type, count(*) from events where ${visitor} group by all`),
  )
}

const stats = () => page.evaluate(() => (window as unknown as Tracker).millrace('stats'))

/** Until the tracker of the page now shown runs: what a page dispatches before is nobody's. */
async function trackerRuns(path: string): Promise<void> {
  await page.waitForURL((url) => url.pathname === path)
  await page.waitForFunction(
    () => typeof (window as unknown as Partial<Tracker>).millrace?.('stats') === 'object',
  )
}

/** Moves as a hand makes them, and many more than a test has time for. */
async function moveAbout(): Promise<void> {
  for (let step = 0; step < REAL_MOVES_PER_PAGE; step++) {
    const turn = step / 9
    await page.mouse.move(640 + 380 * Math.cos(turn), 420 + 250 * Math.sin(2 * turn))
  }
  await page.evaluate((moves) => {
    const main = document.querySelector('main')!
    for (let n = 0; n < moves; n++) {
      const place = { clientX: n / 3, clientY: n / 7, pointerId: 1, pointerType: 'mouse' }
      main.dispatchEvent(new PointerEvent('pointermove', { ...place, bubbles: true }))
    }
  }, DISPATCHED_MOVES_PER_PAGE)
}

async function wheel(byY: number): Promise<void> {
  await page.mouse.wheel(0, byY)
  await page.waitForTimeout(250)
}

const clickOn = (name: string) => page.click(`[data-track="${name}"]:visible`)

/** Side by side: fingers that part would zoom the page, and clicks would miss. */
async function twoFingers(): Promise<void> {
  const session = await context.newCDPSession(page)
  const fingers = (down: number) => [
    { x: 400, y: 500 - down, id: 1 },
    { x: 500, y: 540 - down, id: 2 },
  ]
  const send = (type: 'touchStart' | 'touchMove' | 'touchEnd', touchPoints: object[]) =>
    session.send('Input.dispatchTouchEvent', { type, touchPoints: touchPoints as never })
  await send('touchStart', fingers(0))
  for (let down = 6; down <= 90; down += 6) await send('touchMove', fingers(down))
  await send('touchEnd', [])
  await page.waitForTimeout(250)
}

async function visit(): Promise<void> {
  await page.goto(demo.url + ENTRY)
  await trackerRuns('/shop/')
  await moveAbout()
  await wheel(900)
  await wheel(-900)
  await clickOn('hero-cta')

  await trackerRuns('/shop/catalog')
  await moveAbout()
  await clickOn('filter-boats')
  await wheel(200)
  await clickOn('item-kayak')

  await trackerRuns('/shop/product')
  await moveAbout()
  await twoFingers()
  await page.dblclick('[data-track="gallery-next"]')
  await page.click('[data-track="thumb-1"]', { button: 'right' })
  await clickOn('add-to-cart')
  await clickOn('nav-cart')

  await trackerRuns('/shop/cart')
  await moveAbout()
  await clickOn('to-checkout')

  await trackerRuns('/shop/checkout')
  await moveAbout()
  for (const [field, text] of Object.entries(TYPED)) {
    await clickOn(field)
    await page.keyboard.type(text)
  }
  await clickOn('place-order')

  await trackerRuns('/shop/thanks')
  await moveAbout()
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

/** How many rows of a table hold this text in any column. */
async function rowsWith(table: string, text: string): Promise<number> {
  const found = await rows(
    `select count(*) from ${table} as one where lower(to_json(one)::varchar) like '%${text.toLowerCase()}%'`,
  )
  return Number(found[0]![0])
}

describe.skipIf(!hasChromium)('a visit to the shop', () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-browser-'))
    demo = await startDemo(join(folder, 'data'), ['--no-sample'])
    token = await bearerToken(demo.url, readCredentials(demo.data))
    browser = await launchChromium()
    context = await browser.newContext({ hasTouch: true, viewport: { width: 1280, height: 800 } })
    page = await context.newPage()
    await countEvents(page)
    await visit()
    await page.waitForFunction(() => (window as unknown as Tracker).millrace('stats').pending === 0)
    dispatched = await countsOf(page)
    visitorId = (await stats()).visitorId
  })

  afterAll(async () => {
    await browser?.close()
    if (demo !== undefined) await stopDemo(demo)
    rmSync(folder, { recursive: true, force: true })
  })

  test('the counts by type that the pages kept are those in SQL', async () => {
    const total = Object.values(dispatched).reduce((sum, count) => sum + count, 0)
    expect(dispatched.page).toBe(6)
    expect(dispatched.pointermove).toBeGreaterThanOrEqual(2_000)
    expect(dispatched.touchmove).toBeGreaterThanOrEqual(20)
    expect(dispatched).toMatchObject({ touchstart: 2, touchend: 2, contextmenu: 1, dblclick: 1 })
    expect(dispatched.scroll).toBeGreaterThan(2)
    // The last events of a page leave with it, in a request that nobody can wait for.
    const deadline = Date.now() + ARRIVE_MAX_MS
    let found: Counts = {}
    do {
      const { cart_add, order, resize, ...others } = await countsInSql()
      expect({ cart_add, order }).toEqual({ cart_add: 1, order: 1 })
      expect(resize ?? 0).toBeLessThanOrEqual(6)
      found = others
    } while (
      Object.values(found).reduce((sum, count) => sum + count, 0) < total &&
      Date.now() < deadline
    )
    expect(found).toEqual(dispatched)
  })

  test('every page has its events under running numbers, none missing and none twice', async () => {
    const pages = await rows(
      'select path, count(*), count(distinct seq), min(seq), max(seq) + 1 from events group by page_id, path',
    )
    expect(pages.map(([path]) => path).sort()).toEqual(
      ['', 'cart', 'catalog', 'checkout', 'product', 'thanks'].map((name) => `/shop/${name}`),
    )
    for (const [path, count, distinct, first, end] of pages) {
      expect({ path, distinct, first, end }).toEqual({
        path,
        distinct: count,
        first: 0,
        end: count,
      })
    }
  })

  test('the two fingers are two traces', async () => {
    const fingers = await rows(
      `select pointer_id, count(*) from events where event_type = 'touchmove' group by all`,
    )
    expect(fingers).toHaveLength(2)
  })

  test('the campaign of the entry address has its columns, and its other parameter is gone', async () => {
    const entry = await rows(`select distinct host, path, utm_source, utm_medium, utm_campaign
      from events where utm_source is not null`)
    expect(entry).toEqual([[new URL(demo.url).host, '/shop/', 'mail', 'email', 'high-water']])
  })

  test('nothing that was typed or that is private in the address is in SQL or in a file', async () => {
    const secrets = ['canary', ...Object.values(TYPED).filter((text) => text.length > 4)]
    for (const secret of secrets) {
      expect([secret, await rowsWith('events', secret)]).toEqual([secret, 0])
      expect([secret, await rowsWith('rejections', secret)]).toEqual([secret, 0])
    }
    // What was allowed is found by the same means, so a secret would have been as well.
    expect(await rowsWith('events', 'high-water')).toBeGreaterThan(0)
    const files = filesBelow(demo.data).map((file) => readFileSync(file).toString('latin1'))
    expect(files.some((text) => text.includes('high-water'))).toBe(true)
    for (const secret of secrets) {
      expect(files.some((text) => text.toLowerCase().includes(secret.toLowerCase()))).toBe(false)
    }
  })
})

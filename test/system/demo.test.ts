/**
 * The demo page as a person meets it: the printed link, the account beside the shop, and the button that
 * kills the server.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { canvasIsDrawn, complaintsOf, NOBODY, watched } from '../support/console-page.ts'
import { type Demo, startDemo, stopDemo } from '../support/demo.ts'
import { countEvents, countsOf } from '../support/page-counts.ts'
import { readCredentials, send, sqlRows } from '../support/server.mjs'

/** The account is read once a second, and the tracker may pause some seconds after a failure. */
const SETTLE_MAX_MS = 30_000
/** From the click to the end of the old process and the first answer of the new one. */
const RESTART_MAX_MS = 20_000

let folder: string
let demo: Demo
let browser: Browser
/** With the demo page in one tab and, for a while, the console in another. */
let visitor: BrowserContext
let shop: Page

interface Account {
  readonly sent: number
  readonly acknowledged: number
  readonly inSql: number
  readonly lost: number
}

async function account(): Promise<Account> {
  const values = await shop.locator('.demo-figures .figure-value').allTextContents()
  const [sent = -1, acknowledged = -1, inSql = -1, lost = -1] = values.map((text) =>
    Number(text.replaceAll(',', '')),
  )
  return { sent, acknowledged, inSql, lost }
}

/** Waits until at least so many are sent and all of them are in SQL, and gives the account. */
async function unbroken(sentMin: number): Promise<Account> {
  const deadline = Date.now() + SETTLE_MAX_MS
  for (;;) {
    const read = await account()
    const { sent, acknowledged, inSql } = read
    if (sent >= sentMin && sent === acknowledged && sent === inSql) return read
    if (Date.now() > deadline) throw new Error(`not settled: ${JSON.stringify(read)}`)
    await shop.waitForTimeout(200)
  }
}

/** One step on a circle over the shop's frame. */
async function moveOnce(step: number): Promise<void> {
  await shop.mouse.move(300 + 120 * Math.cos(step / 7), 420 + 120 * Math.sin(step / 7))
}

async function moveAbout(steps: number): Promise<void> {
  for (let step = 0; step < steps; step++) await moveOnce(step)
}

const shopFrame = () => shop.frames().find((frame) => new URL(frame.url()).pathname === '/shop/')!

async function statePid(): Promise<number | undefined> {
  const answer = await send(`${demo.url}/demo/state`, { method: 'GET' }).catch(() => undefined)
  return answer?.body.pid
}

describe.skipIf(!hasChromium)('the demo', () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-demo-'))
    demo = await startDemo(join(folder, 'data'), ['--no-sample'])
    browser = await launchChromium()
    visitor = await browser.newContext({ viewport: { width: 1360, height: 900 } })
    shop = watched(await visitor.newPage())
    await countEvents(shop)
  })

  afterAll(async () => {
    await browser?.close()
    if (demo !== undefined) await stopDemo(demo)
    rmSync(folder, { recursive: true, force: true })
  })

  test('the printed link logs in, and what the hand does in the shop is in SQL', async () => {
    await shop.goto(demo.shopLink)
    await shop.getByText('tracked', { exact: true }).waitFor()
    expect(shop.url()).not.toContain('link=')
    await moveAbout(150)
    expect((await unbroken(150)).lost).toBe(0)
    await canvasIsDrawn(shop, 'canvas.trail')
    expect(complaintsOf(shop)).toEqual([])
  })

  test('the same link a second time says that it is used, and what to do', async () => {
    const other = await browser.newContext()
    const page = watched(await other.newPage())
    await page.goto(demo.shopLink)
    await page.getByText('This login link has been used or has expired. Each works once.').waitFor()
    await page.getByText('Log in with the client id and secret from credentials.json').waitFor()
    expect(complaintsOf(page, NOBODY)).toEqual([])
    await other.close()
  })

  test('a login in a second tab leaves the first one working', async () => {
    const second = watched(await visitor.newPage())
    await second.goto(demo.consoleLink)
    await second.getByRole('heading', { name: 'Arrivals' }).waitFor()
    await shop.bringToFront()
    const before = await account()
    await moveAbout(60)
    expect((await unbroken(before.sent + 60)).lost).toBe(0)
    await expect.poll(() => shop.locator('.flow-cut').count()).toBe(0)
    // The first request after it is refused and repeated.
    expect(complaintsOf(shop, /403 \(Forbidden\).*\/v1\/query$/)).toEqual([])
    expect(complaintsOf(second)).toEqual([])
    await second.close()
  })

  test('a killed server comes back, and what was done meanwhile is not lost', async () => {
    const before = await account()
    const killed = await statePid()
    const movesBefore = (await countsOf(shop)).pointermove!
    await shop.getByRole('button', { name: 'Kill the server' }).click()
    let pid = killed
    let movesWhileDead = 0
    const deadline = Date.now() + RESTART_MAX_MS
    for (let step = 0; pid === killed || pid === undefined; step++) {
      if (Date.now() > deadline) throw new Error(`no new process in place of ${killed}`)
      await moveOnce(step)
      pid = await statePid()
      if (pid === undefined) movesWhileDead++
    }
    expect(movesWhileDead).toBeGreaterThan(5)
    await shop.getByText('back, pid').waitFor()
    const steps = await shop.locator('.kill-steps strong').allTextContents()
    expect([steps[0], steps[2]]).toEqual([String(killed), String(pid)])
    expect(steps[1]).toMatch(/^[\d.,]+ m?s$/)

    const moves = (await countsOf(shop)).pointermove!
    expect(moves - movesBefore).toBeGreaterThanOrEqual(movesWhileDead)
    expect((await unbroken(before.sent + moves - movesBefore)).lost).toBe(0)
    await shop.getByText('✓ All of them are in SQL').waitFor()
    const visitorId = await shopFrame().evaluate(
      () =>
        (window as unknown as { millrace: (verb: string) => { visitorId: string } }).millrace(
          'stats',
        ).visitorId,
    )
    const sql = `select count(*) from events
      where visitor_id = '${visitorId}' and event_type = 'pointermove'`
    expect(await sqlRows(demo.url, readCredentials(demo.data), sql)).toEqual([[moves]])
    expect(complaintsOf(shop, /net::ERR_|403 \(Forbidden\)/)).toEqual([])
  })
})

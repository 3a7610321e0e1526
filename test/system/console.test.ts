/** Each page of the console in a real browser, on the real server, from the login to the logout. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { canvasIsDrawn, complaintsOf, NOBODY, watched } from '../support/console-page.ts'
import { type Demo, startDemo, stopDemo } from '../support/demo.ts'
import { readCredentials, send } from '../support/server.mjs'

/** A refused statement is an answer of 400, which a browser writes down as an error. */
const FORGIVEN = new RegExp(`${NOBODY.source}|400 .*/v1/query$`)

describe.skipIf(!hasChromium)('the console', () => {
  let folder: string
  let demo: Demo
  let browser: Browser
  let page: Page
  let writeKey: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-console-'))
    demo = await startDemo(join(folder, 'data'), ['--no-sample'])
    browser = await launchChromium()
    page = watched(await browser.newPage({ viewport: { width: 1360, height: 900 } }))
    const { clientId, clientSecret, ...others } = readCredentials(demo.data)
    writeKey = others.writeKey
    await page.goto(demo.url)
    await page.getByLabel('Client id').fill(clientId)
    await page.getByLabel('Client secret').fill(clientSecret)
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('heading', { name: 'Arrivals' }).waitFor()
  })

  afterAll(async () => {
    if (page !== undefined) expect(complaintsOf(page, FORGIVEN)).toEqual([])
    await browser?.close()
    if (demo !== undefined) await stopDemo(demo)
    rmSync(folder, { recursive: true, force: true })
  })

  const post = (event: object) =>
    send(`${demo.url}/v1/events?key=${writeKey}`, {
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ timestamp: Date.now(), path: '/weir', ...event }),
    })
  const open = (name: string) =>
    page.getByLabel('Pages').getByRole('link', { name, exact: true }).click()

  test('Live shows an event as it arrives, and a refused one with its reason', async () => {
    await page.locator('.panel .dot-ok', { hasText: 'live' }).waitFor()
    await post({ eventType: 'sluice_opened', target: '#gate' })
    const row = page.locator('.arrivals tr', { hasText: 'sluice_opened' })
    await row.waitFor()
    expect(await row.locator('td').allTextContents()).toEqual([
      expect.stringMatching(/^\d\d:\d\d:\d\d/),
      'sluice_opened',
      '/weir',
      '#gate',
      'web',
    ])
    await post({ eventType: 'sluice_shut', timestamp: 'noon' })
    await page.locator('.arrivals tr.rejected', { hasText: 'bad_timestamp' }).waitFor()
  })

  test('SQL runs a statement and shows its rows', async () => {
    await open('SQL')
    await page
      .locator('textarea.editor')
      .fill('select event_type, count(*) as n from events group by all')
    await page.getByRole('button', { name: /^Run/ }).click()
    const row = page.locator('table.result tr', { hasText: 'sluice_opened' })
    await row.waitFor()
    expect(await row.locator('td').allTextContents()).toEqual(['sluice_opened', '1'])
  })

  test('SQL says where a statement is wrong', async () => {
    await page.locator('textarea.editor').fill('select nothing from events')
    await page.getByRole('button', { name: /^Run/ }).click()
    await page.getByText(/"nothing" not found/).waitFor()
  })

  test('Heatmap draws the clicks of a page, windows of different widths middle on middle', async () => {
    // A button in the middle of the page, in three windows.
    for (const pageW of [800, 1_000, 1_600]) {
      const pageId = `weir-${pageW}`
      await post({ eventType: 'page', pageId, data: { pageW, pageH: 2_000, viewportH: 700 } })
      for (let n = 0; n < 20; n++) {
        await post({ eventType: 'click', pageId, data: { pageX: pageW / 2, pageY: 300 } })
      }
    }
    await open('Heatmap')
    await page.getByText('60 clicks in 1 cell').waitFor()
    await page.locator('.page-frame').getByText('1,000 × 2,000').waitFor()
    await canvasIsDrawn(page, '.frame-page canvas')
  })

  test('Sources shows the tag with the real write key', async () => {
    await open('Sources')
    const tag = `<script async src="${demo.url}/m.js" data-key="${writeKey}"></script>`
    await page.getByText(tag).waitFor()
  })

  test('logging out shows the form, and a wrong secret is answered with a sentence', async () => {
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByLabel('Client id').fill('nobody')
    await page.getByLabel('Client secret').fill('nothing')
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByText('This client id and secret do not match.').waitFor()
  })
})

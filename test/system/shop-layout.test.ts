/**
 * The made-up visits aim at where the shop's elements really stand: the model's measurements against the
 * pages in a browser, at the three widths they were taken at.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Device, PAGES } from '../../packages/pipeline/src/cli/simulate/shop-model.ts'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { type Demo, startDemo, stopDemo } from '../support/demo.ts'

const WINDOWS: Readonly<Record<Device, { width: number; height: number }>> = {
  desktop: { width: 1280, height: 800 },
  tablet: { width: 820, height: 800 },
  mobile: { width: 390, height: 760 },
}
/** Fonts differ from machine to machine; a button stays under the finger. */
const OFF_PX_MAX = 12
const HEIGHT_OFF_PX_MAX = 60

let folder: string
let demo: Demo
let browser: Browser

/** Centres in page coordinates by target, and the page's height. */
const measure = (page: Page) =>
  page.evaluate(() => ({
    height: document.documentElement.scrollHeight,
    places: Object.fromEntries(
      [...document.querySelectorAll<HTMLElement>('[data-track]')]
        .map((element) => ({ name: element.dataset.track, box: element.getBoundingClientRect() }))
        .filter(({ box }) => box.width > 0)
        .map(({ name, box }) => [
          `[data-track="${name}"]`,
          [box.x + box.width / 2, box.y + box.height / 2],
        ]),
    ) as Record<string, [number, number]>,
  }))

describe.skipIf(!hasChromium)('the shop as the model has it', () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-layout-'))
    demo = await startDemo(join(folder, 'data'), ['--no-sample'])
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser?.close()
    if (demo !== undefined) await stopDemo(demo)
    rmSync(folder, { recursive: true, force: true })
  })

  test.each(Object.keys(WINDOWS) as Device[])('is the real one on %s', async (device) => {
    const page = await browser.newPage({ viewport: WINDOWS[device] })
    await page.addInitScript(() => {
      localStorage.setItem('shop.cart', '[{"item":"kayak","size":"M","quantity":1}]')
    })
    for (const { path, heights, things, way } of Object.values(PAGES)) {
      await page.goto(demo.url + path)
      const real = await measure(page)
      expect(Math.abs(real.height - heights[device]), path).toBeLessThan(HEIGHT_OFF_PX_MAX)
      for (const { target, places } of [...things, way]) {
        const [x, y] = real.places[target]!
        const [modelX, modelY] = places[device]
        const off = Math.max(Math.abs(x - modelX), Math.abs(y - modelY))
        expect(off, `${path} ${target} stands at ${x},${y}`).toBeLessThan(OFF_PX_MAX)
      }
    }
    await page.close()
  })
})

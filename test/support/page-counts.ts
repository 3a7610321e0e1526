/**
 * What a page itself dispatched, counted beside the tracker and without it.
 *
 * The script runs before any other of a page of the shop, also in a frame. Counts live in sessionStorage,
 * so that they add up over the pages of a tab; they are written at each event, as a page may be gone
 * after any.
 */
import type { Page } from 'playwright-core'

export type Counts = Record<string, number>

const KEY = 'counts-of-the-test'

/** One count for each contact of a touch event: that is how the tracker tells fingers apart. */
const COUNTER = `if (location.pathname.startsWith('/shop/')) {
  const counts = JSON.parse(sessionStorage.getItem('${KEY}') ?? '{}')
  const count = (type, by = 1) => {
    counts[type] = (counts[type] ?? 0) + by
    sessionStorage.setItem('${KEY}', JSON.stringify(counts))
  }
  const on = (types, hear) => {
    for (const type of types)
      window.addEventListener(type, hear, { capture: true, passive: true })
  }
  on(['pointermove', 'pointerdown', 'pointerup', 'pointercancel'], (event) => {
    if (event.pointerType !== 'touch') count(event.type)
  })
  on(['click', 'auxclick', 'dblclick', 'contextmenu', 'scroll'], (event) => count(event.type))
  on(['touchstart', 'touchmove', 'touchend', 'touchcancel'], (event) =>
    count(event.type, event.changedTouches.length),
  )
  document.addEventListener('visibilitychange', () => count('visibility'), true)
  count('page')
}`

/** For the pages that are opened from now on. */
export async function countEvents(page: Page): Promise<void> {
  await page.addInitScript(COUNTER)
}

export const countsOf = (page: Page): Promise<Counts> =>
  page.evaluate((key) => JSON.parse(sessionStorage.getItem(key) ?? '{}') as Counts, KEY)

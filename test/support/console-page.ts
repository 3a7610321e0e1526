/** What the tests of the console's pages have in common: hearing their complaints, and seeing what is drawn. */
import type { Page } from 'playwright-core'

const complaints = new WeakMap<Page, string[]>()

/** From now on, errors in the page's console and faults in its scripts are kept. */
export function watched(page: Page): Page {
  const heard: string[] = []
  complaints.set(page, heard)
  page.on('pageerror', (error) => heard.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error') heard.push(`${message.text()} ${message.location().url}`)
  })
  return page
}

/** Whoever asks for the session without one hears 401, and the browser says so in the console. */
export const NOBODY = /401 \(Unauthorized\).*\/v1\/session$/

export const complaintsOf = (page: Page, forgiven = /^$/): readonly string[] =>
  (complaints.get(page) ?? []).filter((text) => !forgiven.test(text))

/** Waits until something is on the canvas. */
export const canvasIsDrawn = (page: Page, selector: string): Promise<unknown> =>
  page.waitForFunction((selector) => {
    const canvas = document.querySelector<HTMLCanvasElement>(selector)
    if (!canvas?.width || !canvas.height) return false
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height)
    return data.some((value) => value > 0)
  }, selector)

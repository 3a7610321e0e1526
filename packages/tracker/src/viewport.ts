/**
 * The sizes a heat map needs: window and page, in CSS pixels, as whole numbers.
 *
 * They are constant for most of a page's life, so they go with the `page` event and again in a
 * `resize` event only when they changed: once the page has loaded, and when a resize has come to
 * rest. Reading them can force a layout; three reads a page, never in a pointer's handler.
 */
import { RESIZE_REST_MS } from './limits.ts'
import { guarded, listen, type Record, type Stop } from './listen.ts'

export interface Sizes {
  readonly viewportW: number
  readonly viewportH: number
  readonly pageW: number
  readonly pageH: number
}

export function sizes(): Sizes {
  const root = document.documentElement
  return {
    viewportW: Math.round(innerWidth),
    viewportH: Math.round(innerHeight),
    pageW: Math.round(root.scrollWidth),
    pageH: Math.round(root.scrollHeight),
  }
}

/** `last` tells the sizes that were sent last, so that nothing is said twice. */
export function watchViewport(record: Record, last: () => Sizes | undefined): Stop {
  let timer: ReturnType<typeof setTimeout> | undefined
  const report = guarded(() => {
    const now = sizes()
    if (JSON.stringify(now) !== JSON.stringify(last())) record('resize', undefined, { ...now })
  })
  const stop = listen(window, ['load', 'resize'], (event) => {
    // `load` of images and frames is captured here as well: only the page's own counts.
    if (event.type === 'load' && event.target !== document) return
    clearTimeout(timer)
    timer = setTimeout(report, RESIZE_REST_MS)
  })
  return () => {
    clearTimeout(timer)
    stop()
  }
}

/**
 * Scrolling of the document and of every scrolling element.
 *
 * A `scroll` event does not bubble but is captured on its way down, so one listener sees all
 * scrollers. The browser already throttles it to one per scroller and animation frame (CSSOM View,
 * "run the scroll steps"); a throttle of ours on top would lose the last position before a rest.
 */
import { EVENT_TYPES } from './limits.ts'
import { listen, type Record, rounded, type Stop } from './listen.ts'

export function watchScroll(record: Record): Stop {
  return listen(window, [EVENT_TYPES.scroll], (event) => {
    const element = event.target as Partial<Element> | null
    const own = element?.scrollLeft !== undefined
    record(EVENT_TYPES.scroll, event, {
      scrollX: rounded(own ? element!.scrollLeft! : window.scrollX),
      scrollY: rounded(own ? element!.scrollTop! : window.scrollY),
    })
  })
}

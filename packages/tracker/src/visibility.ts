/**
 * When the page is about to go: hidden, or put away.
 *
 * `visibilitychange` is the last event that a phone is sure to deliver; `pagehide` covers leaving by
 * a link. Both call `onLeave`, which must send synchronously. No `unload` or `beforeunload`: they
 * fire less often and keep the page out of the back/forward cache.
 */
import { EVENT_TYPES } from './limits.ts'
import { listen, type Record, type Stop } from './listen.ts'

export function watchVisibility(record: Record, onLeave: () => void, onReturn: () => void): Stop {
  const stops = [
    listen(document, ['visibilitychange'], (event) => {
      const state = document.visibilityState
      // First the state, so that the event itself leaves with the rest or stays with the page.
      if (state === 'visible') onReturn()
      record(EVENT_TYPES.visibility, event, { state })
      if (state === 'hidden') onLeave()
    }),
    listen(window, ['pagehide'], onLeave),
    listen(window, ['pageshow'], () => {
      if (document.visibilityState === 'visible') onReturn()
    }),
  ]
  return () => {
    for (const stop of stops) stop()
  }
}

/**
 * Page views without a page load: the address changed, or the page came back from the cache.
 *
 * The Navigation API reports every same-document change in one event. Where it is missing,
 * `pushState` and `replaceState` are wrapped (they stay callable as before, and are put back on
 * stop if nobody wrapped them after us), with `popstate` for the way back. Whether an address is a
 * new page is decided by the caller from the path, so a change of the fragment alone is none.
 */
import { guarded, listen, type Stop } from './listen.ts'

export function watchNavigation(onAddress: () => void, onRestored: () => void): Stop {
  const stops = [
    listen<PageTransitionEvent>(window, ['pageshow'], (event) => {
      if (event.persisted) onRestored()
    }),
  ]
  const navigation = (window as { navigation?: EventTarget }).navigation
  if (navigation) {
    stops.push(listen(navigation, ['currententrychange'], onAddress))
  } else {
    stops.push(listen(window, ['popstate'], onAddress))
    stops.push(wrapHistory('pushState', onAddress), wrapHistory('replaceState', onAddress))
  }
  return () => {
    for (const stop of stops) stop()
  }
}

function wrapHistory(name: 'pushState' | 'replaceState', onAddress: () => void): Stop {
  const original = history[name]
  const notify = guarded(onAddress)
  const wrapper: typeof original = function (this: History, ...args) {
    original.apply(this, args)
    notify()
  }
  history[name] = wrapper
  return () => {
    if (history[name] === wrapper) history[name] = original
  }
}

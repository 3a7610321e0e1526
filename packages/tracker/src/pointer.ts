/**
 * Mouse and pen: moves, presses, and the clicks of every pointer.
 *
 * Every `pointermove` the browser dispatches is kept (one a frame; `moves.minIntervalMs` thins them
 * for a site that wants fewer). A finger makes pointer events *and* touch events; here its pointer
 * events are passed over, as `touch.ts` has the finger with all its contacts. Where a browser has
 * no touch events, its pointer events of fingers are taken here, so that each contact is counted
 * exactly once either way. Clicks are kept whatever made them; `pointerType` tells.
 */
import { EVENT_TYPES } from './limits.ts'
import { listen, type Record, rounded, type Stop } from './listen.ts'

const MOVES = [EVENT_TYPES.pointermove]
const PRESSES = [EVENT_TYPES.pointerdown, EVENT_TYPES.pointerup, 'pointercancel']
const CLICKS = [EVENT_TYPES.click, 'auxclick', 'dblclick', 'contextmenu']

/** Page coordinates are read from the event: asking the window for its scroll can force a layout. */
function dataOf(event: PointerEvent, withButton: boolean): { [key: string]: unknown } {
  return {
    clientX: rounded(event.clientX),
    clientY: rounded(event.clientY),
    pageX: rounded(event.pageX),
    pageY: rounded(event.pageY),
    button: withButton ? event.button : undefined,
    // `dblclick` and, in older browsers, `click` are mouse events and have neither.
    pointerId: event.pointerId === undefined ? undefined : event.pointerId | 0,
    pointerType: event.pointerType || undefined,
  }
}

export function watchPointer(
  record: Record,
  options: { readonly touchEvents: boolean; readonly moveMinIntervalMs: number },
): Stop {
  const foreign = (event: PointerEvent) => options.touchEvents && event.pointerType === 'touch'
  let lastMoveMs = Number.NEGATIVE_INFINITY
  const stops = [
    listen<PointerEvent>(window, MOVES, (event) => {
      if (foreign(event) || event.timeStamp - lastMoveMs < options.moveMinIntervalMs) return
      lastMoveMs = event.timeStamp
      record(event.type, event, dataOf(event, false))
    }),
    listen<PointerEvent>(window, PRESSES, (event) => {
      if (!foreign(event)) record(event.type, event, dataOf(event, true))
    }),
    listen<PointerEvent>(window, CLICKS, (event) => {
      record(event.type, event, dataOf(event, true))
    }),
  ]
  return () => {
    for (const stop of stops) stop()
  }
}

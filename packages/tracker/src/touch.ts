/**
 * Fingers: one event for each contact that changed, so that a pinch is two traces.
 *
 * `pointerId` is the contact's `identifier`: the same from touchstart to touchend, and different
 * for fingers that are down together. Touch events, not pointer events, because a browser cancels
 * the pointer events of a finger as soon as it scrolls or zooms, which is most of what fingers do.
 * A stylus that also speaks as a pen (Safari) is left to `pointer.ts`.
 */
import { EVENT_TYPES } from './limits.ts'
import { listen, type Record, rounded, type Stop } from './listen.ts'

const TYPES = [
  EVENT_TYPES.touchstart,
  EVENT_TYPES.touchmove,
  EVENT_TYPES.touchend,
  EVENT_TYPES.touchcancel,
]

export const hasTouchEvents = (): boolean => 'ontouchstart' in window

export function watchTouch(record: Record): Stop {
  return listen<TouchEvent>(window, TYPES, (event) => {
    for (const touch of Array.from(event.changedTouches)) {
      if ((touch as { touchType?: string }).touchType === 'stylus') continue
      record(event.type, event, {
        clientX: rounded(touch.clientX),
        clientY: rounded(touch.clientY),
        pageX: rounded(touch.pageX),
        pageY: rounded(touch.pageY),
        pointerId: touch.identifier | 0,
        pointerType: 'touch',
      })
    }
  })
}

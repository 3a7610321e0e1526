/**
 * Every bound of the tracker in one place, and the few constants it shares with the wire.
 *
 * The shared ones are copies: importing `@millrace/protocol` would bring its schema library into a
 * script that every visitor downloads. `constants.test.ts` holds them equal to the originals.
 */

/** One request. Under the 64 KiB keepalive budget with room for another small one beside it. */
export const BATCH_BYTES_MAX = 48 * 1024
/** The wire's own bounds of packed columns. */
export const PACKED_EVENTS_MAX = 5_000
export const PACKED_TYPES_MAX = 64
export const PACKED_TARGETS_MAX = 1_024
export const PACKED_SPAN_MAX_MS = 86_400_000
/** What a browser lets a page have in flight with `keepalive` and `sendBeacon` together. */
export const KEEPALIVE_BYTES_MAX = 65_536
/** Events in memory: four minutes of a moving mouse at 60 a second. The oldest goes first. */
export const QUEUE_BYTES_MAX = 1_048_576
/** One event's data as JSON: only `track` with much data of its own comes near. */
export const EVENT_BYTES_MAX = 32 * 1024
/** Requests at once while the page is hidden, when each event leaves without waiting. */
export const HIDDEN_REQUESTS_MAX = 6

export const FLUSH_AFTER_MS = 10_000
export const FLUSH_AFTER_DEBUG_MS = 500
/** A request without an answer for so long has an unknown outcome and is sent again. */
export const REQUEST_TIMEOUT_MS = 30_000
export const RETRY_MIN_MS = 1_000
export const RETRY_MAX_MS = 60_000
/** A server may ask for a longer pause than our own backoff, not for an endless one. */
export const RETRY_AFTER_MAX_MS = 600_000

export const SESSION_GAP_MS = 30 * 60_000
/** A window that is being resized reports once, when it has rested for so long. */
export const RESIZE_REST_MS = 250

export const TARGET_LEVELS_MAX = 8
/** An id attribute longer than this is generated text, not a name. */
export const TARGET_NAME_LENGTH_MAX = 64
/** Calls of the snippet that wait for `init`. */
export const COMMANDS_WAITING_MAX = 200

export const EVENT_TYPE_LENGTH_MAX = 64
export const ID_LENGTH_MAX = 128
export const PATH_LENGTH_MAX = 2_048
export const TARGET_LENGTH_MAX = 1_024

/** Types that mean something to the pipeline; the other types sent are DOM event names. */
export const EVENT_TYPES = {
  page: 'page',
  identify: 'identify',
  pointermove: 'pointermove',
  pointerdown: 'pointerdown',
  pointerup: 'pointerup',
  click: 'click',
  touchstart: 'touchstart',
  touchmove: 'touchmove',
  touchend: 'touchend',
  touchcancel: 'touchcancel',
  scroll: 'scroll',
  visibility: 'visibility',
} as const

/** What a visitor agreed to. Absent: not stated (`measure` is done, the others are not). */
export interface Consent {
  measure?: boolean
  profile?: boolean
  personalize?: boolean
}

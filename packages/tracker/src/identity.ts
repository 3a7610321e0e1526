/**
 * Who is here: a random id of the visitor, one of the visit, and whether they said no.
 *
 * The visitor's id lives in the site's own localStorage, the visit's in sessionStorage with the time
 * it was last used; a gap of 30 minutes begins another visit. No cookie, no fingerprint. Storage
 * may be blocked, full or absent: then ids live as long as the page, and nothing throws.
 */
import { SESSION_GAP_MS } from './limits.ts'

const VISITOR = 'millrace.visitor'
const SESSION = 'millrace.session'
const OPTED_OUT = 'millrace.optout'

type Store = 'localStorage' | 'sessionStorage'

/** `value` undefined reads, null removes. Even naming a blocked storage throws. */
function stored(store: Store, key: string, value?: string | null): string | undefined {
  try {
    if (value === undefined) return window[store].getItem(key) ?? undefined
    if (value === null) window[store].removeItem(key)
    else window[store].setItem(key, value)
  } catch {
    // Ids then live in memory alone.
  }
  return undefined
}

export interface Identity {
  visitorId(): string
  /** The visit at this moment; begins another one after a gap. Cheap: memory only. */
  sessionId(nowMs: number): string
  /** Writes down when the visit was last used, for the next page: once a flush, not per event. */
  save(): void
  readonly optedOut: boolean
  optOut(): void
  optIn(): void
}

/** Ids as they look when they are ours; anything else in the storage is not sent. */
const ours = (id: string | undefined) => (id && /^[0-9a-f-]{36}$/.test(id) ? id : undefined)

export function createIdentity(newId: () => string): Identity {
  let optedOut = stored('localStorage', OPTED_OUT) === '1'
  let visitor: string | undefined
  let session: string | undefined
  let usedMs = 0

  return {
    visitorId() {
      visitor = visitor ?? ours(stored('localStorage', VISITOR))
      if (visitor === undefined) {
        visitor = newId()
        stored('localStorage', VISITOR, visitor)
      }
      return visitor
    },
    sessionId(nowMs) {
      if (session === undefined) {
        const [id, atMs] = (stored('sessionStorage', SESSION) ?? '').split(' ')
        session = ours(id)
        usedMs = Number(atMs) || 0
      }
      if (session === undefined || nowMs - usedMs > SESSION_GAP_MS) session = newId()
      usedMs = nowMs
      return session
    },
    save() {
      if (session !== undefined) stored('sessionStorage', SESSION, `${session} ${usedMs}`)
    },
    get optedOut() {
      return optedOut
    },
    optOut() {
      optedOut = true
      visitor = session = undefined
      stored('localStorage', VISITOR, null)
      stored('sessionStorage', SESSION, null)
      stored('localStorage', OPTED_OUT, '1')
    },
    optIn() {
      optedOut = false
      stored('localStorage', OPTED_OUT, null)
    },
  }
}

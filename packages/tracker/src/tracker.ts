/**
 * The tracker: listens, writes each event down, and hands it to the sender.
 *
 * A page view owns a `pageId` and a `seq` from 0; (`pageId`, `seq`) is the order of its events, and a
 * gap in it is a lost event. Ids go once per batch, in the envelope. Nothing here throws into the
 * page, and nothing is read that a person typed or that the page says.
 */
import { pathOf, referrerOf } from './campaign.ts'
import { createIdentity } from './identity.ts'
import {
  BATCH_BYTES_MAX,
  type Consent,
  EVENT_TYPE_LENGTH_MAX,
  EVENT_TYPES,
  FLUSH_AFTER_DEBUG_MS,
  FLUSH_AFTER_MS,
  ID_LENGTH_MAX,
} from './limits.ts'
import { guarded, type Stop, type Record as Write } from './listen.ts'
import { watchNavigation } from './navigation.ts'
import { createOutbox } from './outbox.ts'
import { type Point, pointOf } from './pack.ts'
import { watchPointer } from './pointer.ts'
import { watchScroll } from './scroll.ts'
import { createSender } from './sender.ts'
import { createTargets } from './target.ts'
import { hasTouchEvents, watchTouch } from './touch.ts'
import { createTransport } from './transport.ts'
import { newId } from './uuid.ts'
import { type Sizes, sizes, watchViewport } from './viewport.ts'
import { watchVisibility } from './visibility.ts'

export interface Options {
  /** The source's write key, `wk_…`. Public: it only allows to send. */
  readonly key: string
  /** Where batches are posted. Default: `/v1/events` where the script came from (page, for ESM). */
  readonly endpoint?: string
  /** Flush twice a second instead of every ten: for looking, not for production. */
  readonly debug?: boolean
  readonly consent?: Consent
  /** Thins pointer moves. Default: every one is kept. */
  readonly moves?: { readonly minIntervalMs: number }
}

/** created = acknowledged + rejected + dropped + pending, at any moment, in events. */
export interface Stats {
  readonly created: number
  readonly acknowledged: number
  readonly rejected: number
  readonly dropped: number
  readonly pending: number
  /** Created events by type. */
  readonly byType: { readonly [eventType: string]: number }
  readonly visitorId: string | undefined
  readonly pageId: string | undefined
  readonly path: string | undefined
}

export interface Tracker {
  track(eventType: string, data?: object): void
  identify(userId: string, traits?: object): void
  /** Another page view, for views that do not change the address. */
  page(data?: object): void
  consent(purposes: Consent): void
  optOut(): void
  optIn(): void
  flush(): void
  stats(): Stats
}

interface Page {
  readonly pageId: string
  readonly path: string
  seq: number
  sizes: Sizes
}

export function createTracker(options: Options): Tracker {
  const identity = createIdentity(newId)
  const outbox = createOutbox(newId)
  const url = `${options.endpoint ?? `${location.origin}/v1/events`}?key=${encodeURIComponent(options.key)}`
  const account = { created: 0, acknowledged: 0, rejected: 0, dropped: 0 }
  const sender = createSender(outbox, createTransport(url), account)
  const targets = createTargets()
  const byType: { [eventType: string]: number } = {}
  const gpc = (navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl
  let consent: Consent | undefined =
    gpc || options.consent
      ? { ...(gpc && { profile: false, personalize: false }), ...options.consent }
      : undefined
  let userId: string | undefined
  let page: Page | undefined
  let head = ''
  let headSession = ''
  let timer: ReturnType<typeof setTimeout> | undefined
  let stops: Stop[] = []

  const flush = () => {
    clearTimeout(timer)
    timer = undefined
    identity.save()
    sender.flush()
  }

  /** The envelope's ids as text; made anew only when one of them changes. */
  function headNow(nowMs: number): string {
    const sessionId = identity.sessionId(nowMs)
    if (head === '' || sessionId !== headSession) {
      headSession = sessionId
      const { pageId, path } = page!
      const ids = { visitorId: identity.visitorId(), userId, sessionId, pageId, path, consent }
      head = `${JSON.stringify(ids).slice(1, -1)},`
    }
    return head
  }

  const write: Write = (eventType, event, data) => {
    if (!page) return
    const nowMs = Date.now()
    // The moment of the hand, not of a busy page's reaction to it; a clock that jumped is not used.
    const lagMs = event ? performance.now() - event.timeStamp : 0
    const timestamp = Math.round(nowMs - (lagMs > 0 && lagMs < 60_000 ? lagMs : 0))
    account.created++
    byType[eventType] = (byType[eventType] ?? 0) + 1
    const target = event && targets.of(event)
    const seq = page.seq++
    let written: Point | string | undefined
    try {
      written = pointOf(data) ?? JSON.stringify(data)
    } catch {
      account.dropped++ // A cycle or a BigInt in the caller's data.
      return
    }
    const happened = { eventType, timestamp, target, seq, data: written }
    account.dropped += outbox.add(headNow(nowMs), happened)
    if (sender.leaving || outbox.freshBytes >= BATCH_BYTES_MAX) sender.flush()
    else timer ??= setTimeout(flush, options.debug ? FLUSH_AFTER_DEBUG_MS : FLUSH_AFTER_MS)
  }

  function openPage(referrer: string | undefined, data?: object): void {
    if (page) flush()
    page = { pageId: newId(), path: pathOf(location), seq: 0, sizes: sizes() }
    head = ''
    targets.forget()
    const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone
    const where = { scrollX: Math.round(scrollX), scrollY: Math.round(scrollY) }
    write(EVENT_TYPES.page, undefined, { ...page.sizes, ...where, referrer, timezone, ...data })
  }

  function start(): void {
    if (page || identity.optedOut || consent?.measure === false) return
    const touchEvents = hasTouchEvents()
    openPage(referrerOf(document.referrer, location.origin))
    const resized: Write = (eventType, event, data) => {
      page!.sizes = data as unknown as Sizes
      write(eventType, event, data)
    }
    stops = [
      watchPointer(write, { touchEvents, moveMinIntervalMs: options.moves?.minIntervalMs ?? 0 }),
      touchEvents ? watchTouch(write) : () => {},
      watchScroll(write),
      watchViewport(resized, () => page?.sizes),
      watchNavigation(
        () => pathOf(location) !== page?.path && openPage(page?.path),
        () => openPage(page?.path, { restored: true }),
      ),
      watchVisibility(
        write,
        () => {
          identity.save()
          sender.leave()
        },
        () => sender.stay(),
      ),
    ]
    if (document.visibilityState === 'hidden') sender.leave()
  }

  function stop(): void {
    for (const each of stops) each()
    stops = []
    page = undefined
    clearTimeout(timer)
    timer = undefined
    sender.abandon()
  }

  guarded(start)()

  return {
    track: guarded((eventType: string, data: object = {}) => {
      const name = String(eventType).slice(0, EVENT_TYPE_LENGTH_MAX)
      if (name) write(name, undefined, { ...data })
    }),
    identify: guarded((id: string, traits: object = {}) => {
      userId = String(id).slice(0, ID_LENGTH_MAX) || undefined
      head = ''
      write(EVENT_TYPES.identify, undefined, { ...traits })
    }),
    page: guarded((data?: object) => {
      if (page) openPage(page.path, data)
    }),
    consent: guarded((purposes: Consent) => {
      consent = { ...consent, ...purposes }
      head = ''
      if (consent.measure === false) stop()
      else start()
    }),
    optOut: guarded(() => {
      stop()
      userId = undefined
      identity.optOut()
    }),
    optIn: guarded(() => {
      identity.optIn()
      start()
    }),
    flush: guarded(flush),
    stats() {
      const { created, acknowledged, rejected, dropped } = account
      const pending = created - acknowledged - rejected - dropped
      const visitorId = page && identity.visitorId()
      const where = { visitorId, pageId: page?.pageId, path: page?.path }
      return { ...account, pending, byType: { ...byType }, ...where }
    },
  }
}

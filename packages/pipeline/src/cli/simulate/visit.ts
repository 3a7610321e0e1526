/**
 * One made-up visit: the pages a visitor sees, and on each the moves, scrolls, clicks and touches a
 * tracker would have sent.
 *
 * Hands move as hands do: from where they are to a target along a minimum-jerk path (Flash and Hogan
 * 1985) with a bow and a tremor, slower for farther and smaller things (Fitts 1954), sampled at 60 Hz.
 * Bots move in straight lines at even steps. Events are written as JSON text at once: there are
 * millions of them, and their shape is known.
 */

import type { Seeded } from './seeded.ts'
import {
  FUNNEL,
  goOnProbability,
  ORIGIN,
  PAGES,
  type PageName,
  type ShopPage,
  type Thing,
  type Visitor,
} from './shop-model.ts'

export interface PageView {
  readonly page: PageName
  /** URL as the tracker sends it: campaign parameters kept. */
  readonly url: string
  readonly startMs: number
  readonly endMs: number
  /** Events as JSON text, in order. */
  readonly events: readonly string[]
}

const FRAME_MS = 16.7
/** Nearer than this to the window's edge a thing is scrolled further in. */
const EDGE_PX = 30

interface Hand {
  x: number
  y: number
  scrollY: number
  nowMs: number
  seq: number
  readonly events: string[]
}

export function makeVisit(random: Seeded, visitor: Visitor, startMs: number): readonly PageView[] {
  const views: PageView[] = []
  let nowMs = startMs
  for (const page of pagesOf(random, visitor)) {
    const view = makePageView(random, visitor, page, nowMs, views.length === 0)
    views.push(view)
    nowMs = view.endMs + random.between(200, 1500)
  }
  return views
}

/** Decided before any movement is, so that how hands move never changes who buys. */
function pagesOf(random: Seeded, visitor: Visitor): readonly PageName[] {
  const botPages = random.between(1, 5)
  const leavesAt = FUNNEL.findIndex(
    (page, place) =>
      (visitor.bot && place + 1 >= botPages) ||
      !random.chance(goOnProbability(page, visitor.device, visitor.campaign?.name)),
  )
  return FUNNEL.slice(0, leavesAt + 1)
}

function makePageView(
  random: Seeded,
  visitor: Visitor,
  name: PageName,
  startMs: number,
  entry: boolean,
): PageView {
  const page = PAGES[name]
  const hand: Hand = {
    x: visitor.viewport.w / 2,
    y: visitor.viewport.h / 3,
    scrollY: 0,
    nowMs: startMs,
    seq: 0,
    events: [],
  }
  const height = Math.max(page.heights[visitor.device], visitor.viewport.h)
  write(
    hand,
    'page',
    null,
    `"viewportW":${visitor.viewport.w},"viewportH":${visitor.viewport.h},"pageW":${visitor.viewport.w},"pageH":${height},"referrer":"${entry ? visitor.referrer : ORIGIN}","timezone":"${visitor.timezone}"`,
  )
  hand.nowMs += random.between(300, 1200)
  const glances = visitor.bot ? random.between(1, 3) : random.between(2, 5)
  for (let glance = 0; glance < glances; glance++) {
    const aim = page.things[random.between(0, page.things.length - 1)] as Thing
    look(random, visitor, hand, aim, height)
    reach(random, visitor, hand, aim)
    if (random.chance(0.3)) press(random, visitor, hand, aim)
    hand.nowMs += random.between(150, 2500)
  }
  if (name === 'checkout' && visitor.device === 'mobile' && !visitor.bot)
    rage(random, visitor, hand, page)
  look(random, visitor, hand, page.way, height)
  reach(random, visitor, hand, page.way)
  press(random, visitor, hand, page.way)
  if (!visitor.bot && random.chance(0.2)) {
    write(hand, 'visibility', null, '"state":"hidden"')
    hand.nowMs += random.between(2_000, 40_000)
    write(hand, 'visibility', null, '"state":"visible"')
  }
  const query =
    entry && visitor.campaign !== undefined
      ? `?utm_source=${visitor.campaign.source}&utm_medium=${visitor.campaign.medium}&utm_campaign=${visitor.campaign.name}`
      : ''
  return {
    page: name,
    url: `${ORIGIN}${page.path}${query}`,
    startMs,
    endMs: hand.nowMs,
    events: hand.events,
  }
}

/** The planted finding: the button is dead on mobile, so it is tapped again and again. */
function rage(random: Seeded, visitor: Visitor, hand: Hand, page: ShopPage): void {
  if (!random.chance(0.8)) return
  reach(random, visitor, hand, page.way)
  const taps = random.between(3, 7)
  for (let tap = 0; tap < taps; tap++) {
    press(random, visitor, hand, page.way)
    hand.nowMs += random.between(60, 180)
  }
  hand.nowMs += random.between(800, 3_000)
}

/** Moves (or drags, by touch) from where the hand is to a thing. */
function reach(random: Seeded, visitor: Visitor, hand: Hand, thing: Thing): void {
  const aim = place(visitor, hand, thing)
  // Things shrink with the screen, and so does what a hand makes of them.
  const size = visitor.device === 'mobile' ? 0.4 : visitor.device === 'tablet' ? 0.7 : 1
  const toX = aim.x + random.normal() * thing.spread[0] * size
  const toY = aim.y - hand.scrollY + random.normal() * thing.spread[1] * size
  const distance = Math.hypot(toX - hand.x, toY - hand.y)
  const durationMs = visitor.bot ? 200 : 180 + 160 * Math.log2(1 + distance / 24)
  const steps = Math.max(2, Math.round(durationMs / FRAME_MS))
  const bow = visitor.bot ? 0 : random.normal() * distance * 0.06
  const fromX = hand.x
  const fromY = hand.y
  const touch = visitor.device !== 'desktop'
  const type = touch ? 'touchmove' : 'pointermove'
  const pointer = touch
    ? '"pointerId":0,"pointerType":"touch"'
    : '"pointerId":1,"pointerType":"mouse"'
  // A finger is lifted between targets: it only drags for a part of the way.
  const written = touch ? Math.ceil(steps / 2) : steps
  if (touch) at(hand, 'touchstart', thing.target, pointer)
  for (let step = 1; step <= steps; step++) {
    const t = step / steps
    const eased = visitor.bot ? t : t * t * t * (10 + t * (6 * t - 15))
    const side = Math.sin(Math.PI * eased) * bow
    const tremor = visitor.bot ? 0 : random.normal() * 0.7
    hand.x = fromX + (toX - fromX) * eased - ((toY - fromY) / (distance || 1)) * side + tremor
    hand.y = fromY + (toY - fromY) * eased + ((toX - fromX) / (distance || 1)) * side + tremor
    hand.nowMs += visitor.bot ? FRAME_MS : FRAME_MS * (0.8 + 0.4 * random.next())
    if (step <= written) at(hand, type, step === steps ? thing.target : 'main', pointer)
  }
  if (touch) at(hand, 'touchend', thing.target, pointer)
}

function press(random: Seeded, visitor: Visitor, hand: Hand, thing: Thing): void {
  const touch = visitor.device !== 'desktop'
  const pointer = touch
    ? '"pointerId":0,"pointerType":"touch"'
    : '"pointerId":1,"pointerType":"mouse","button":0'
  at(hand, touch ? 'touchstart' : 'pointerdown', thing.target, pointer)
  hand.nowMs += visitor.bot ? 1 : random.between(55, 140)
  at(hand, touch ? 'touchend' : 'pointerup', thing.target, pointer)
  at(hand, 'click', thing.target, pointer)
}

function scroll(random: Seeded, hand: Hand, toY: number): void {
  const steps = Math.max(2, Math.min(40, Math.round(Math.abs(toY - hand.scrollY) / 45)))
  const fromY = hand.scrollY
  for (let step = 1; step <= steps; step++) {
    hand.scrollY = Math.round(fromY + ((toY - fromY) * step) / steps)
    hand.nowMs += FRAME_MS * (1 + random.next())
    write(hand, 'scroll', 'html', `"scrollX":0,"scrollY":${hand.scrollY}`)
  }
}

/** Scrolls until a thing stands in the window, and now and then although it does already. */
function look(
  random: Seeded,
  visitor: Visitor,
  hand: Hand,
  thing: Thing,
  pageHeight: number,
): void {
  const { h } = visitor.viewport
  const { y } = place(visitor, hand, thing)
  const inWindow = y - hand.scrollY
  if (inWindow > EDGE_PX && inWindow < h - EDGE_PX && !random.chance(0.3)) return
  const wanderPx = random.between(-h / 4, h / 4)
  const toY = Math.min(pageHeight - h, Math.max(0, Math.round(y - h / 2 + wanderPx)))
  if (Math.abs(toY - hand.scrollY) > EDGE_PX) scroll(random, hand, toY)
}

/**
 * Where a thing stands on this visitor's page: wide layouts are centred at their greatest width, those of
 * phones stretch with the screen, and what is fixed to the window moves over the page.
 */
function place(visitor: Visitor, hand: Hand, thing: Thing): { x: number; y: number } {
  const { device, viewport } = visitor
  const [x, y] = thing.places[device]
  if (device === 'desktop') return { x: x + (viewport.w - 1280) / 2, y }
  if (device === 'tablet') return { x, y }
  const fixedY =
    thing.mobileBottomPx === undefined ? y : hand.scrollY + viewport.h - thing.mobileBottomPx
  return { x: (x / 390) * viewport.w, y: fixedY }
}

function at(hand: Hand, type: string, target: string, pointer: string): void {
  const x = Math.round(hand.x)
  const y = Math.round(hand.y)
  write(
    hand,
    type,
    target,
    `"clientX":${x},"clientY":${y},"pageX":${x},"pageY":${y + hand.scrollY},${pointer}`,
  )
}

function write(hand: Hand, type: string, target: string | null, data: string): void {
  const reference = target === null ? '' : `"target":"${target.replaceAll('"', '\\"')}",`
  hand.events.push(
    `{"eventType":"${type}","timestamp":${Math.round(hand.nowMs)},${reference}"data":{${data}},"seq":${hand.seq++}}`,
  )
}

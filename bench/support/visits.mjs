/**
 * Events of many visits at once, from a fixed seed, each of them different: what compresses about as well
 * as a site's own. Coordinates walk at random, a few of many paths and targets are nearly all.
 */
import { seeded } from '../../test/support/seeded.mjs'

const START_MS = Date.UTC(2026, 0, 5, 8)

/** `count` events; a visit's come `batchEvents` at a time, `moveShare` of them pointer moves. */
export function* visits(count, { batchEvents, moveShare }) {
  const random = seeded(12_345)
  const below = (n) => Math.floor(random() * n)
  // A few of many are nearly all: log-uniform.
  const popular = (list) => list[Math.min(list.length - 1, Math.floor(list.length ** random() - 1))]
  const browsers = Array.from(
    { length: 60 },
    (_, n) =>
      `Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${90 + n}.0.0.0 Safari/537.36`,
  )
  const paths = Array.from(
    { length: 500 },
    (_, n) =>
      `/${['product', 'category', 'blog', 'account'][n % 4]}/${hexOf(n * 2_654_435_761, 6)}`,
  )
  const targets = Array.from(
    { length: 800 },
    (_, n) =>
      `body>main#content>section.${['hero', 'grid', 'list', 'cta'][n % 4]}>div:nth-child(${1 + (n % 9)})>button${n}`,
  )
  const newVisit = () => ({
    visitorId: hexOf(random() * 2 ** 48, 16),
    sessionId: hexOf(random() * 2 ** 48, 16),
    browser: popular(browsers),
    path: popular(paths),
    target: popular(targets),
    left: 30 + below(400),
    seq: 0,
    x: below(1_400),
    y: below(900),
  })
  const open = Array.from({ length: 400 }, newVisit)
  let made = 0
  while (made < count) {
    const place = below(open.length)
    const visit = open[place]
    for (let burst = batchEvents; burst > 0 && made < count; burst--, made++) {
      const dice = random()
      const isMove = dice < moveShare
      const other = (dice - moveShare) / (1 - moveShare)
      const eventType = isMove
        ? 'pointermove'
        : other < 0.7
          ? 'scroll'
          : other < 0.88
            ? 'click'
            : 'page'
      if (eventType === 'page') visit.path = popular(paths)
      if (random() > 0.8) visit.target = popular(targets)
      visit.x = Math.max(0, Math.min(1_920, visit.x + below(41) - 20))
      visit.y = Math.max(0, Math.min(1_080, visit.y + below(41) - 20))
      // Ten hours, so that all is one day: what a commit nearly always is.
      const timestampMs = START_MS + Math.floor((made / count) * 36_000_000) + below(40)
      const event = {
        eventType,
        browser: visit.browser,
        timestamp: new Date(timestampMs).toISOString(),
        path: visit.path,
        target: visit.target,
        data: {
          clientX: visit.x,
          clientY: visit.y,
          viewportW: 1_920,
          viewportH: 1_080,
          ...(eventType === 'click' ? { button: 0 } : {}),
        },
        visitorId: visit.visitorId,
        sessionId: visit.sessionId,
        seq: visit.seq++,
      }
      yield Object.defineProperty(event, 'timestampMs', { value: timestampMs })
    }
    visit.left -= batchEvents
    if (visit.left <= 0) open[place] = newVisit()
  }
}

/** The last `digits` hex digits of the whole number. */
export function hexOf(number, digits) {
  return Math.floor(number).toString(16).padStart(digits, '0').slice(-digits)
}

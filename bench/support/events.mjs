/**
 * Deterministic behavioural events for measuring: moves by random walk, scrolls, clicks, page views, in the
 * shape and size (about 400 bytes) of the article this pipeline follows.
 */
import { seeded } from '../../test/support/seeded.mjs'

export function eventMaker(seed = 12345) {
  const next = seeded(seed)
  const whole = (below) => Math.floor(next() * below)
  const hex = (length) => Array.from({ length }, () => whole(16).toString(16)).join('')
  // Log-uniform: a heavy head and a long tail, as pages and elements have.
  const popular = (count) => Math.min(count - 1, Math.floor(count ** next() - 1 + next() * 0.5))
  const agents = Array.from(
    { length: 60 },
    (_, at) =>
      `Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${100 + at}.0.0.0 Safari/537.36`,
  )
  const paths = [
    '/',
    ...Array.from(
      { length: 499 },
      (_, at) => `/${['product', 'category', 'blog', 'account'][at % 4]}/${hex(6)}`,
    ),
  ]
  const targets = Array.from(
    { length: 800 },
    (_, at) =>
      `main>section.${['hero', 'grid', 'list'][at % 3]}>div:nth-of-type(${1 + (at % 9)})>button:nth-of-type(${1 + (at % 4)})`,
  )
  const newSession = () => ({
    visitorId: hex(16),
    sessionId: hex(16),
    agent: agents[popular(60)],
    path: paths[popular(500)],
    x: whole(1400),
    y: whole(900),
    seq: 0,
  })
  const sessions = Array.from({ length: 400 }, newSession)
  let nowMs = Date.now() - 3_600_000
  return () => {
    const at = whole(sessions.length)
    const session = sessions[at]
    const kind = next()
    const eventType =
      kind > 0.985 ? 'page' : kind > 0.96 ? 'click' : kind > 0.85 ? 'scroll' : 'pointermove'
    if (eventType === 'page') session.path = paths[popular(500)]
    session.x = Math.max(0, Math.min(1920, session.x + whole(41) - 20))
    session.y = Math.max(0, Math.min(1080, session.y + whole(41) - 20))
    nowMs += next()
    const data =
      eventType === 'scroll'
        ? { scrollX: 0, scrollY: whole(4000) }
        : eventType === 'page'
          ? { viewportW: 1920, viewportH: 1080, referrer: '' }
          : {
              clientX: session.x,
              clientY: session.y,
              pageX: session.x,
              pageY: session.y + 40,
              pointerId: 1,
              pointerType: 'mouse',
            }
    const event = {
      eventType,
      browser: session.agent,
      timestamp: new Date(nowMs).toISOString(),
      path: session.path,
      target: targets[popular(800)],
      data,
      visitorId: session.visitorId,
      sessionId: session.sessionId,
      seq: session.seq++,
    }
    if (next() < 0.004) sessions[at] = newSession()
    return event
  }
}

/** `count` bodies, each a JSON array of `size` events. */
export function makeBodies(count, size) {
  const make = eventMaker()
  return Array.from({ length: count }, () =>
    Buffer.from(JSON.stringify(Array.from({ length: size }, make))),
  )
}

/**
 * `count` bodies as the tracker sends them: envelopes of packed columns, each `eventsPerBody` moves of one
 * hand at 20 a second (200: the ten seconds between two flushes) over a few elements, with a click now and
 * then. Batch ids are left out, so that each body may be sent again and again.
 */
export function makePackedBodies(count, eventsPerBody = 200, seed = 12345) {
  const make = eventMaker(seed)
  return Array.from({ length: count }, () => {
    const { visitorId, sessionId, path } = make()
    const targets = Array.from({ length: 8 }, () => make().target)
    const t0 = Date.now() - 50 * eventsPerBody
    const clicks = {}
    const column = { t: [], type: [], target: [], x: [], y: [] }
    let x = 700
    let y = 400
    for (let at = 0; at < eventsPerBody; at++) {
      const { data } = make()
      x = Math.max(0, Math.min(1_919, x + (((data.clientX ?? at) * 7) % 41) - 20))
      y = Math.max(0, Math.min(1_079, y + (((data.clientY ?? at) * 5) % 41) - 20))
      const isClick = at % 50 === 49
      column.t.push(50 * at)
      column.type.push(isClick ? 1 : 0)
      column.target.push(Math.floor(at / 25) % targets.length)
      column.x.push(x)
      column.y.push(y)
      const where = { clientX: x, clientY: y, pageX: x, pageY: y + 340 }
      if (isClick) clicks[at] = { ...where, button: 0, pointerId: 1, pointerType: 'mouse' }
    }
    const { t, type, target } = column
    const packed = {
      v: 1,
      t0,
      types: ['pointermove', 'click'],
      t,
      seq: 0,
      type,
      targets,
      target,
      x: column.x,
      y: column.y,
      all: { offsetX: 0, offsetY: 340, pointerId: 1, pointerType: 'mouse' },
      data: clicks,
    }
    const ids = { visitorId, sessionId, pageId: visitorId }
    return Buffer.from(JSON.stringify({ sentAt: Date.now(), ...ids, path, packed }))
  })
}

/**
 * The request context: what only the request knows, resolved once and cached by header text.
 *
 * Browser, operating system and device come from client hints where the browser sends them, else from
 * the user agent. The user agent itself and the address never go further than this file. Visitors
 * share few combinations of headers, so a small cache answers nearly every request.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { isbot } from 'isbot'
import { UAParser } from 'my-ua-parser'

/** Member `c` of a log record. */
export interface RequestContext {
  readonly browser: string | null
  readonly os: string | null
  readonly device: string | null
  readonly country: string | null
  readonly origin: string | null
  readonly bot: boolean
  /** Sec-GPC: 1. The lake's rows then carry neither `profile` nor `personalize`. */
  readonly gpc: boolean
}

/** Distinct header combinations kept: a kilobyte each at most, so 10 MB under attack, else far less. */
const CACHE_MAX = 10_000
/** Longer header values are cut; real ones are under 300 characters. */
const HEADER_LENGTH_MAX = 1_000
/** All of them together; a longer key is not worth a place in the cache. */
const KEY_LENGTH_MAX = 1_000

/** Returns a function from headers to the context's JSON text. */
export function requestStamper(
  cache = new Map<string, string>(),
): (headers: IncomingHttpHeaders) => string {
  return (headers) => {
    const facts = [
      headers['user-agent'],
      headers['sec-ch-ua'],
      headers['sec-ch-ua-platform'],
      headers['sec-ch-ua-mobile'],
      headers.origin,
      headers['sec-gpc'],
    ].map((value) => (typeof value === 'string' ? value.slice(0, HEADER_LENGTH_MAX) : ''))
    const key = facts.join('\n')
    const known = cache.get(key)
    if (known !== undefined) return known
    const context = JSON.stringify(
      resolveContext(facts as [string, string, string, string, string, string]),
    )
    if (key.length > KEY_LENGTH_MAX) return context
    // Emptying all at once is crude and enough: a full cache means an attack or a very odd day.
    if (cache.size >= CACHE_MAX) cache.clear()
    cache.set(key, context)
    return context
  }
}

/** Pure: header texts in, context out. */
export function resolveContext([agent, brands, platform, mobile, origin, gpc]: readonly [
  agent: string,
  brands: string,
  platform: string,
  mobile: string,
  origin: string,
  gpc: string,
]): RequestContext {
  const parsed = UAParser(agent)
  const major = parsed.browser.version?.split('.')[0]
  const named =
    parsed.browser.name === undefined
      ? null
      : [parsed.browser.name, major].filter(Boolean).join(' ')
  return {
    browser: brandOf(brands) ?? named,
    os: unquote(platform) ?? parsed.os.name ?? null,
    device: parsed.device.type ?? (mobile === '?1' ? 'mobile' : agent === '' ? null : 'desktop'),
    country: null,
    origin: /^https?:\/\/[^\s/?#]+$/.test(origin) ? origin : null,
    bot: isbot(agent),
    gpc: gpc === '1',
  }
}

/** `"Chromium";v="156", "Google Chrome";v="156", "Not=A?Brand";v="99"` → `Google Chrome 156`. */
function brandOf(header: string): string | undefined {
  let chromium: string | undefined
  for (const [, name = '', version = ''] of header.matchAll(
    /"([^"]{1,60})";\s*v="(\d{1,6})[^"]*"/g,
  )) {
    if (/not.?a.?brand/i.test(name.replace(/[^a-z]/gi, ''))) continue
    if (name !== 'Chromium') return `${name} ${version}`
    chromium = `${name} ${version}`
  }
  return chromium
}

function unquote(header: string): string | undefined {
  return /^"([^"]{1,40})"$/.exec(header)?.[1]
}

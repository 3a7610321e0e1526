import { describe, expect, test } from 'vitest'
import { requestStamper, resolveContext } from './stamp.ts'

const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36'
const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1'
const GOOGLEBOT = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)'

const stampOf = (headers: Record<string, string>) => JSON.parse(requestStamper()(headers))

describe('browser, system and device', () => {
  test('come from client hints where the browser sends them', () => {
    const stamp = stampOf({
      'user-agent': CHROME,
      'sec-ch-ua': '"Chromium";v="156", "Not=A?Brand";v="99", "Brave";v="156.1"',
      'sec-ch-ua-platform': '"macOS"',
    })
    expect(stamp).toMatchObject({ browser: 'Brave 156', os: 'macOS', device: 'desktop' })
  })

  test.each(['"Not=A?Brand";v="99"', '"Not)A;Brand";v="24"', '" Not A;Brand";v="8"'])(
    'a made-up brand is never the browser: %s',
    (grease) => {
      expect(stampOf({ 'sec-ch-ua': `${grease}, "Chromium";v="142"` }).browser).toBe('Chromium 142')
      expect(stampOf({ 'sec-ch-ua': grease, 'user-agent': CHROME }).browser).toBe('Chrome 142')
    },
  )

  test('come from the user agent where there are none', () => {
    expect(stampOf({ 'user-agent': CHROME })).toMatchObject({
      browser: 'Chrome 142',
      os: 'Windows',
      device: 'desktop',
    })
    expect(stampOf({ 'user-agent': IPHONE })).toMatchObject({ os: 'iOS', device: 'mobile' })
  })

  test('are null, not guessed, where the request says nothing', () => {
    const nothing = { browser: null, os: null, device: null, country: null, origin: null }
    expect(stampOf({})).toEqual({ ...nothing, bot: false, gpc: false })
  })
})

test('a bot is known by its user agent, a person is none', () => {
  expect(stampOf({ 'user-agent': GOOGLEBOT }).bot).toBe(true)
  expect(stampOf({ 'user-agent': CHROME.replace('Chrome/', 'HeadlessChrome/') }).bot).toBe(true)
  expect(stampOf({ 'user-agent': IPHONE }).bot).toBe(false)
})

test('only Sec-GPC: 1 is an objection', () => {
  expect(stampOf({ 'sec-gpc': '1' }).gpc).toBe(true)
  for (const value of ['0', 'true', '11', '']) expect(stampOf({ 'sec-gpc': value }).gpc).toBe(false)
})

test.each([
  ['https://shop.example', 'https://shop.example'],
  ['http://127.0.0.1:4300', 'http://127.0.0.1:4300'],
  ['null', null],
  ['https://shop.example/path', null],
  ['https://shop.example?q', null],
  ['javascript:alert(1)', null],
  ['https://a b', null],
])('origin %s is kept as %s', (header, kept) => {
  expect(stampOf({ origin: header }).origin).toBe(kept)
})

test('the user agent itself is in no stamp', () => {
  expect(requestStamper()({ 'user-agent': `${CHROME} secret-build-77` })).not.toContain('secret')
})

test('other headers give another stamp, the same headers the same text', () => {
  const stamp = requestStamper()
  const first = stamp({ 'user-agent': CHROME, origin: 'https://a.example' })
  expect(stamp({ 'user-agent': CHROME, origin: 'https://b.example' })).not.toBe(first)
  expect(stamp({ 'user-agent': CHROME, origin: 'https://a.example' })).toBe(first)
  // Values must not run into each other: a line feed cannot come in a header.
  expect(stamp({ 'user-agent': '', origin: 'https://a.example', 'sec-gpc': '1' })).not.toBe(
    stamp({ 'user-agent': '', origin: 'https://a.example' }),
  )
})

test('the cache holds at most 10,000 short entries, and forgetting changes no stamp', () => {
  const cache = new Map<string, string>()
  const stamp = requestStamper(cache)
  const known = stamp({ origin: 'https://0.example' })
  let sizeMax = 0
  for (let at = 0; at < 10_500; at++) {
    stamp({ origin: `https://${at}.example` })
    sizeMax = Math.max(sizeMax, cache.size)
  }
  expect(sizeMax).toBe(10_000)
  expect(stamp({ origin: 'https://0.example' })).toBe(known)
  const before = cache.size
  stamp({ 'user-agent': `${CHROME} ${'x'.repeat(16_000)}` })
  expect(cache.size).toBe(before)
})

test('hints without an end or with hostile text resolve to something short', () => {
  const brands = `"${'A'.repeat(5_000)}";v="1"`
  const context = resolveContext(['', brands, '"unclosed', '?1', '', ''])
  expect(context).toMatchObject({ browser: null, os: null, device: 'mobile' })
})

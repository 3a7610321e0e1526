import { expect, test } from 'vitest'
import { cellText, duration } from './format.ts'
import { formatRoute, linkToken, parseRoute } from './route.ts'

test('a page and its parameters survive the way through the address', () => {
  const sql = "select '?&#=%' as x, 1 + 1\nfrom events"
  expect(parseRoute(formatRoute('sql', { q: sql }))).toEqual({
    page: 'sql',
    parameters: { q: sql },
  })
})

test('whatever is no page is the first page', () => {
  for (const hash of ['', '#', '#/', '#/nowhere', '#link=abc', '#/constructor']) {
    expect(parseRoute(hash)).toEqual({ page: 'live', parameters: {} })
  }
})

test('a login link gives its token, and nothing else does', () => {
  expect(linkToken('#link=aZ09._~-')).toBe('aZ09._~-')
  expect(linkToken('#link=')).toBeUndefined()
  expect(linkToken('#link=a b')).toBeUndefined()
  expect(linkToken('#/live?link=a')).toBeUndefined()
})

test('durations keep two or three figures', () => {
  expect([0.4, 7.42, 38.2, 1_240, 240_000, null].map(duration)).toEqual([
    '0.40 ms',
    '7.4 ms',
    '38 ms',
    '1.2 s',
    '4 min',
    '–',
  ])
})

test('a cell is text whatever it holds', () => {
  expect([null, 0, false, '<b>', [1], { a: null }].map(cellText)).toEqual([
    '',
    '0',
    'false',
    '<b>',
    '[1]',
    '{"a":null}',
  ])
})

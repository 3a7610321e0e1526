import { describe, expect, test } from 'vitest'
import {
  parseShopMessage,
  type ShopDocument,
  type ShopMessage,
  shopAccount,
  withMessage,
} from './shop-account.ts'

const message = (
  pageId: string,
  created: number,
  pages: number,
  acknowledged = created,
): ShopMessage => ({
  stats: {
    created,
    acknowledged,
    rejected: 0,
    dropped: 0,
    pending: created - acknowledged,
    byType: { page: pages },
  },
  visitorId: 'v',
  pageId,
  path: '/',
})
const after = (...messages: ShopMessage[]): readonly ShopDocument[] =>
  messages.reduce<readonly ShopDocument[]>(withMessage, [])
const rows = (entries: Record<string, [rows: number, numbered: number]>) =>
  new Map(Object.entries(entries).map(([page, [n, numbered]]) => [page, { rows: n, numbered }]))

describe('documents', () => {
  test('another page view of the same document keeps its account', () => {
    const documents = after(message('a', 10, 1), message('b', 12, 2))
    expect(documents).toHaveLength(1)
    expect(documents[0]).toMatchObject({ pageIds: ['a', 'b'], stats: { created: 12 } })
  })

  test('a page load begins a new document, even if it soon made more than the one before', () => {
    expect(after(message('a', 10, 1), message('b', 2, 1))).toHaveLength(2)
    expect(after(message('a', 1, 1), message('b', 30, 1))).toHaveLength(2)
  })
})

describe('account of the visitor', () => {
  test('what is on its way is neither acknowledged nor lost', () => {
    const account = shopAccount(after(message('a', 10, 1, 7)), rows({ a: [7, 7] }))
    expect(account).toEqual({
      sent: 10,
      acknowledged: 7,
      pending: 3,
      rejected: 0,
      inSql: 7,
      lost: 0,
    })
  })

  test('an acknowledged event that is not in SQL is lost', () => {
    expect(shopAccount(after(message('a', 10, 1)), rows({ a: [9, 10] })).lost).toBe(1)
  })

  test('the last events of a page that is gone count by their numbers', () => {
    const documents = after(message('a', 10, 1, 8), message('b', 1, 1))
    const account = shopAccount(documents, rows({ a: [13, 13], b: [1, 1] }))
    expect(account).toMatchObject({ sent: 14, acknowledged: 14, pending: 0, inSql: 14, lost: 0 })
  })

  test('events that a page took with it are lost', () => {
    const documents = after(message('a', 10, 1, 8), message('b', 1, 1))
    expect(shopAccount(documents, rows({ a: [8, 8], b: [1, 1] })).lost).toBe(2)
  })

  test('what the tracker dropped is lost, what was refused is not', () => {
    const told = message('a', 10, 1, 6)
    const stats = { ...told.stats, rejected: 1, dropped: 3, pending: 0 }
    expect(shopAccount(after({ ...told, stats }), rows({ a: [6, 10] }))).toMatchObject({
      lost: 3,
      pending: 0,
    })
  })
})

test('a message of another shape is not believed', () => {
  const junk = [
    null,
    'millrace-stats',
    {},
    { type: 'millrace-stats' },
    { type: 'millrace-stats', stats: {}, pageId: 'a' },
  ]
  for (const each of junk) expect(parseShopMessage(each)).toBeUndefined()
  const odd = {
    type: 'millrace-stats',
    visitorId: 'v',
    pageId: 'p',
    path: 3,
    stats: { created: -1, byType: { a: 'x' } },
  }
  expect(parseShopMessage(odd)).toMatchObject({ path: '', stats: { created: 0, byType: { a: 0 } } })
})

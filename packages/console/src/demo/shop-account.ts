/**
 * The visitor's own account, across page loads: what the tracker in the shop said it made, against
 * what is in SQL.
 *
 * The tracker counts per loaded document; a document may show several page views (`pageId`s). The last
 * events of a document leave with it, after its last word to this page: for a document that is gone,
 * the rows in SQL and their running numbers know better than its last word, so the larger counts.
 */

interface TrackerStats {
  readonly created: number
  readonly acknowledged: number
  readonly rejected: number
  readonly dropped: number
  readonly pending: number
  readonly byType: Readonly<Record<string, number>>
}

export interface ShopMessage {
  readonly stats: TrackerStats
  readonly visitorId: string
  readonly pageId: string
  readonly path: string
}

/** One loaded document of the shop: its last word, and the page views it showed. */
export interface ShopDocument {
  readonly stats: TrackerStats
  readonly pageIds: readonly string[]
}

/** What SQL has of one page view. */
export interface PageRows {
  readonly rows: number
  /** max(seq) + 1. */
  readonly numbered: number
}

export interface ShopAccount {
  readonly sent: number
  readonly acknowledged: number
  readonly pending: number
  readonly rejected: number
  readonly inSql: number
  readonly lost: number
}

/** Older documents are forgotten: the statement that counts them names each of their pages. */
const DOCUMENTS_MAX = 500

const text = (value: unknown): value is string => typeof value === 'string' && value.length <= 2_048
const amount = (value: unknown): number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0

/** Reads a message from the shop; undefined for anything else that a window may send. */
export function parseShopMessage(value: unknown): ShopMessage | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const message = value as Record<string, unknown>
  if (message.type !== 'millrace-stats' || typeof message.stats !== 'object') return undefined
  const stats = (message.stats ?? {}) as Record<string, unknown>
  const visitorId = message.visitorId ?? stats.visitorId
  const pageId = message.pageId ?? stats.pageId
  const path = message.path ?? stats.path
  if (!text(visitorId) || !text(pageId)) return undefined
  const byType = Object.entries((stats.byType ?? {}) as Record<string, unknown>)
  return {
    stats: {
      created: amount(stats.created),
      acknowledged: amount(stats.acknowledged),
      rejected: amount(stats.rejected),
      dropped: amount(stats.dropped),
      pending: amount(stats.pending),
      byType: Object.fromEntries(byType.map(([type, made]) => [type, amount(made)])),
    },
    visitorId,
    pageId,
    path: text(path) ? path : '',
  }
}

/** Counts only grow inside a document, and a new page view there is a new `page` event. */
function sameDocument(document: ShopDocument, message: ShopMessage): boolean {
  if (message.stats.created < document.stats.created) return false
  if (document.pageIds.includes(message.pageId)) return true
  return (message.stats.byType.page ?? 0) > (document.stats.byType.page ?? 0)
}

export function withMessage(
  documents: readonly ShopDocument[],
  message: ShopMessage,
): readonly ShopDocument[] {
  const current = documents.at(-1)
  if (current === undefined || !sameDocument(current, message)) {
    const opened = { stats: message.stats, pageIds: [message.pageId] }
    return [...documents, opened].slice(-DOCUMENTS_MAX)
  }
  const pageIds = current.pageIds.includes(message.pageId)
    ? current.pageIds
    : [...current.pageIds, message.pageId]
  return [...documents.slice(0, -1), { stats: message.stats, pageIds }]
}

export function shopAccount(
  documents: readonly ShopDocument[],
  pages: ReadonlyMap<string, PageRows>,
): ShopAccount {
  let account: ShopAccount = {
    sent: 0,
    acknowledged: 0,
    pending: 0,
    rejected: 0,
    inSql: 0,
    lost: 0,
  }
  documents.forEach((document, place) => {
    const part = documentAccount(document, pages, place === documents.length - 1)
    account = {
      sent: account.sent + part.sent,
      acknowledged: account.acknowledged + part.acknowledged,
      pending: account.pending + part.pending,
      rejected: account.rejected + part.rejected,
      inSql: account.inSql + part.inSql,
      lost: account.lost + part.lost,
    }
  })
  return account
}

function documentAccount(
  { stats, pageIds }: ShopDocument,
  pages: ReadonlyMap<string, PageRows>,
  open: boolean,
): ShopAccount {
  const known = pageIds.map((pageId) => pages.get(pageId)).filter((page) => page !== undefined)
  const inSql = known.reduce((sum, page) => sum + page.rows, 0)
  const numbered = known.reduce((sum, page) => sum + page.numbered, 0)
  // A row in SQL was acknowledged, whether or not the answer has come back yet.
  const acknowledged = Math.max(stats.acknowledged, inSql)
  const sent = Math.max(stats.created, numbered)
  const { rejected, dropped } = stats
  const pending = open ? Math.max(0, sent - acknowledged - rejected - dropped) : 0
  return {
    sent,
    acknowledged,
    pending,
    rejected,
    inSql,
    lost: Math.max(0, sent - pending - rejected - inSql),
  }
}

/** SQL over the tenant's own tables, and the two ways a page reads the answer: rows or named cells. */
import { request } from './request.ts'

export interface Column {
  readonly name: string
  readonly type: string
}

export type Cell = unknown

export interface QueryResult {
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly Cell[])[]
  readonly truncated: boolean
  readonly stats: { readonly elapsedMs: number; readonly rowCount: number }
}

export interface QueryOptions {
  readonly tenantId?: string
  readonly maxRows?: number
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** The API's own ceiling on rows in one answer. */
export const ROWS_MAX = 10_000

export function runQuery(sql: string, options: QueryOptions = {}): Promise<QueryResult> {
  const { tenantId, signal, ...limits } = options
  return request<QueryResult>('/v1/query', {
    method: 'POST',
    body: { sql, ...limits },
    ...(tenantId === undefined ? {} : { tenantId }),
    ...(signal === undefined ? {} : { signal }),
  })
}

/** The rows as objects keyed by column name. */
export function records(result: QueryResult): Record<string, Cell>[] {
  return result.rows.map((row) =>
    Object.fromEntries(result.columns.map((column, place) => [column.name, row[place]])),
  )
}

/** A count, whichever way a 64-bit integer travelled: as a number or as digits in a string. */
export function numberOf(cell: Cell): number {
  const value = typeof cell === 'string' && cell !== '' ? Number(cell) : cell
  return typeof value === 'number' && Number.isFinite(value) ? value : 0
}

export const textOf = (cell: Cell): string => (typeof cell === 'string' ? cell : '')

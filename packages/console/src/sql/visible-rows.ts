/** Which rows of a long table are worth drawing: those in sight and some around them. */
export const ROW_HEIGHT = 30
const MARGIN_ROWS = 12

export interface Visible {
  readonly from: number
  /** Exclusive. */
  readonly to: number
}

export function visibleRows(scrollTop: number, height: number, rowCount: number): Visible {
  const first = Math.floor(scrollTop / ROW_HEIGHT) - MARGIN_ROWS
  const last = Math.ceil((scrollTop + height) / ROW_HEIGHT) + MARGIN_ROWS
  const from = Math.min(Math.max(0, first), rowCount)
  return { from, to: Math.max(from, Math.min(rowCount, last)) }
}

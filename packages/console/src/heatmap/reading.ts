/** Asks for one page's size and cells. */
import { numberOf, ROWS_MAX, records, runQuery } from '../api/query.ts'
import { BIN_PX, type Bin, type Extent } from './bins.ts'
import { binsSql, type Choice, extentSql } from './heatmap-sql.ts'

export interface HeatmapReading {
  /** What was asked for: while another answer is awaited, this is still what is shown. */
  readonly choice: Choice
  readonly extent: Extent
  /** Height of the usual viewport in pixels; 0 where unknown. */
  readonly fold: number
  readonly bins: readonly Bin[]
  readonly events: number
  readonly truncated: boolean
  readonly elapsedMs: number
}

export async function readHeatmap(choice: Choice, signal: AbortSignal): Promise<HeatmapReading> {
  const [size, cells] = await Promise.all([
    runQuery(extentSql(choice), { signal }),
    runQuery(binsSql(choice), { signal, maxRows: ROWS_MAX }),
  ])
  const [extent = {}] = records(size)
  const bins = records(cells).map((row) => ({
    x: numberOf(row.bin_x) * BIN_PX,
    y: numberOf(row.bin_y) * BIN_PX,
    count: numberOf(row.events),
  }))
  const reach = (edge: 'x' | 'y') => bins.reduce((far, bin) => Math.max(far, bin[edge] + BIN_PX), 1)
  return {
    choice,
    extent: {
      width: Math.ceil(numberOf(extent.width)) || reach('x'),
      height: Math.ceil(numberOf(extent.height)) || reach('y'),
    },
    fold: Math.round(numberOf(extent.fold)),
    bins,
    events: bins.reduce((sum, bin) => sum + bin.count, 0),
    truncated: cells.truncated,
    elapsedMs: cells.stats.elapsedMs,
  }
}

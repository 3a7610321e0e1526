/** A result of up to thousands of rows, of which only those in sight are in the document. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { numberOf, type QueryResult } from '../api/query.ts'
import { cellText, typeText } from '../kit/format.ts'
import { ROW_HEIGHT, visibleRows } from './visible-rows.ts'

const NUMERIC = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|REAL|LONG|DECIMAL(\(.*\))?)$/i
/** A cell shows its beginning; the whole is in its title. */
const CELL_LENGTH_MAX = 400

function Cell({ value, numeric }: { value: unknown; numeric: boolean }) {
  if (value === null || value === undefined)
    return <td class={numeric ? 'null numeric' : 'null'}>null</td>
  const text = cellText(value)
  const isCount = numeric && typeof value !== 'object' && Number.isSafeInteger(numberOf(value))
  return (
    <td class={numeric ? 'numeric' : ''} title={text.length > 24 ? text : undefined}>
      {isCount ? text : text.slice(0, CELL_LENGTH_MAX)}
    </td>
  )
}

export function ResultTable({ result }: { result: QueryResult }) {
  const holder = useRef<HTMLElement>(null)
  const [view, setView] = useState({ top: 0, height: 600 })
  // Another result begins at its top.
  useEffect(() => {
    holder.current?.scrollTo({ top: 0 })
    setView({ top: 0, height: holder.current?.clientHeight ?? 600 })
  }, [result])
  const { from, to } = visibleRows(view.top, view.height, result.rows.length)
  const numeric = result.columns.map((column) => NUMERIC.test(column.type))
  const onScroll = (event: Event & { currentTarget: HTMLElement }): void => {
    setView({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })
  }
  return (
    <section
      ref={holder}
      class="table-scroll result-scroll"
      onScroll={onScroll}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must take the keyboard.
      tabIndex={0}
      aria-label="Result"
    >
      <table class="result">
        <thead>
          <tr>
            {result.columns.map((column, place) => (
              <th key={`${place}`} scope="col" class={numeric[place] ? 'numeric' : ''}>
                {column.name}
                <small>{typeText(column.type)}</small>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <Filler rows={from} columns={result.columns.length} />
          {result.rows.slice(from, to).map((row, offset) => (
            <tr key={from + offset}>
              {result.columns.map((_column, place) => (
                <Cell key={`${place}`} value={row[place]} numeric={numeric[place] ?? false} />
              ))}
            </tr>
          ))}
          <Filler rows={result.rows.length - to} columns={result.columns.length} />
        </tbody>
      </table>
    </section>
  )
}

/** As high as the rows that it stands for. */
function Filler({ rows, columns }: { rows: number; columns: number }) {
  if (rows <= 0) return null
  return (
    <tr>
      <td class="filler" colSpan={columns} style={{ height: `${rows * ROW_HEIGHT}px` }} />
    </tr>
  )
}

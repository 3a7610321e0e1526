/** What came of the statement: rows, their count and time, or what was wrong with it. */
import type { ApiProblem } from '../api/problem.ts'
import type { QueryResult } from '../api/query.ts'
import { ProblemNotice } from '../components/notice.tsx'
import { csv } from '../kit/csv.ts'
import { download } from '../kit/download.ts'
import { count, duration } from '../kit/format.ts'
import { ResultTable } from './result-table.tsx'

export interface Outcome {
  readonly result?: QueryResult
  readonly problem?: ApiProblem
  /** From the click to the answer, as this browser saw it. */
  readonly roundTripMs: number
}

const saveCsv = (result: QueryResult): void => {
  const header = result.columns.map((column) => column.name)
  download('millrace.csv', 'text/csv;charset=utf-8', csv(header, result.rows))
}

export function ResultPanel({ outcome, busy }: { outcome: Outcome | undefined; busy: boolean }) {
  if (outcome?.problem !== undefined) return <ProblemNotice error={outcome.problem} />
  const result = outcome?.result
  if (result === undefined) {
    return (
      <div class="empty">
        {busy ? <p>Running…</p> : <p>Ctrl+Enter or ⌘+Enter runs the statement.</p>}
      </div>
    )
  }
  const rows = result.rows.length
  return (
    <section class={`panel result-panel ${busy ? 'busy' : ''}`} aria-label="Result">
      <header>
        <strong>
          {count(rows)} {rows === 1 ? 'row' : 'rows'}
        </strong>
        <span class="hint">
          {duration(result.stats.elapsedMs)} in the engine · {duration(outcome?.roundTripMs)} to you
        </span>
        {result.truncated && (
          <span class="tag tag-warn">cut at {count(rows)} rows: aggregate, or add a limit</span>
        )}
        <span class="spacer" />
        <button
          type="button"
          class="button button-small"
          title="Text that a spreadsheet would run as a formula gets an apostrophe before it"
          onClick={() => saveCsv(result)}
        >
          Download CSV
        </button>
      </header>
      {rows === 0 ? (
        <div class="empty">
          <p>No rows.</p>
        </div>
      ) : (
        <ResultTable result={result} />
      )}
    </section>
  )
}

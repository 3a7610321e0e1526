/** SQL over the tenant's tables. The statement is in the address, so a link shares it; it runs only on a person's command. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { asProblem } from '../api/problem.ts'
import { runQuery } from '../api/query.ts'
import { CopyButton } from '../components/copy-block.tsx'
import { formatRoute } from '../kit/route.ts'
import { Editor } from './editor.tsx'
import { EVENTS_BY_TYPE, EXAMPLES } from './examples.ts'
import { keepHistory, readHistory, withStatement } from './history.ts'
import { type Outcome, ResultPanel } from './result-panel.tsx'
import { StatementMenu } from './statement-menu.tsx'
import { TableBrowser } from './table-browser.tsx'

/** What a person still scrolls through; all columns of so many events are some megabytes. */
const SHOWN_ROWS_MAX = 5_000

const shareLink = (sql: string): string =>
  location.origin + location.pathname + formatRoute('sql', { q: sql })

const oneLine = (sql: string): string => sql.replaceAll(/\s+/g, ' ').slice(0, 80)

export function SqlPage({ shared }: { shared: string | undefined }) {
  const [sql, setSql] = useState(shared ?? readHistory()[0] ?? EVENTS_BY_TYPE)
  const [history, setHistory] = useState(readHistory)
  const [outcome, setOutcome] = useState<Outcome>()
  const [busy, setBusy] = useState(false)
  const running = useRef<AbortController>()
  useEffect(() => {
    if (shared !== undefined) setSql(shared)
  }, [shared])
  useEffect(() => () => running.current?.abort(), [])

  const run = async (statement = sql): Promise<void> => {
    running.current?.abort()
    const controller = new AbortController()
    running.current = controller
    setBusy(true)
    const kept = withStatement(history, statement)
    setHistory(kept)
    keepHistory(kept)
    const start = performance.now()
    const outcome = await runQuery(statement, {
      signal: controller.signal,
      maxRows: SHOWN_ROWS_MAX,
    }).then(
      (result): Partial<Outcome> => ({ result }),
      (error: unknown): Partial<Outcome> => ({ problem: asProblem(error) }),
    )
    if (controller.signal.aborted) return
    setOutcome({ ...outcome, roundTripMs: performance.now() - start })
    setBusy(false)
  }
  const load = (statement: string): void => {
    setSql(statement)
    void run(statement)
  }
  return (
    <div class="page sql-page">
      <TableBrowser
        insert={(text) => setSql((known) => `${known}${/\s$/.test(known) ? '' : ' '}${text}`)}
      />
      <div class="sql-main">
        <section class="panel editor-panel" aria-label="Statement">
          <Editor sql={sql} change={setSql} run={() => void run()} />
          <div class="editor-bar">
            <button
              type="button"
              class="button button-primary"
              onClick={() => void run()}
              disabled={busy}
            >
              {busy ? 'Running…' : 'Run'} <kbd>Ctrl ⏎</kbd>
            </button>
            <StatementMenu label="Examples" items={EXAMPLES} choose={load} />
            <StatementMenu
              label="History"
              items={history.map((each) => ({ name: oneLine(each), sql: each }))}
              choose={setSql}
            />
            <span class="spacer" />
            <CopyButton text={shareLink(sql)} label="Copy link" />
          </div>
        </section>
        <ResultPanel outcome={outcome} busy={busy} />
      </div>
    </div>
  )
}

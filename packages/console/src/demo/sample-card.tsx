/** A nested statement on the sample tenant, once its data is there. */
import { useEffect, useState } from 'preact/hooks'
import { numberOf, type QueryResult, records, runQuery, textOf } from '../api/query.ts'
import { BarChart } from '../components/bar-chart.tsx'
import { ProblemNotice } from '../components/notice.tsx'
import { count, duration } from '../kit/format.ts'
import { CLICK_GAPS } from '../sql/examples.ts'
import type { DemoState } from './demo-state.ts'
import { QueryCard } from './query-card.tsx'

const BARS_MAX = 4

function Loading({ sample }: { sample: DemoState['sample'] }) {
  return (
    <div class="loading">
      <p>
        Loading the sample: {count(sample.loaded)} of {count(sample.total)} events
      </p>
      <progress value={sample.loaded} max={Math.max(1, sample.total)} />
    </div>
  )
}

function Answer({ result }: { result: QueryResult }) {
  const bars = records(result).map((row) => ({
    name: textOf(row.path),
    value: numberOf(row.median_gap_ms),
    text: duration(numberOf(row.median_gap_ms)),
  }))
  return bars.length === 0 ? (
    <p class="hint">No clicks in the sample.</p>
  ) : (
    <BarChart bars={bars.slice(0, BARS_MAX)} />
  )
}

export function SampleCard({
  state,
  tenantId,
}: {
  state: DemoState | undefined
  tenantId: string | undefined
}) {
  const [result, setResult] = useState<QueryResult>()
  const [error, setError] = useState<unknown>()
  const sample = state?.sample
  const ready = sample?.state === 'ready'
  useEffect(() => {
    if (!ready || tenantId === undefined) return
    const controller = new AbortController()
    runQuery(CLICK_GAPS, { tenantId, signal: controller.signal }).then(
      (answer) => {
        setResult(answer)
        setError(undefined)
      },
      (reason: unknown) => !controller.signal.aborted && setError(reason),
    )
    return () => controller.abort()
  }, [ready, tenantId])
  return (
    <QueryCard
      title="Median click gap, by page"
      sql={CLICK_GAPS}
      elapsedMs={result?.stats.elapsedMs}
      ribbon={
        <p class="ribbon">
          <strong>SYNTHETIC</strong> sample shop, generated
        </p>
      }
    >
      {sample?.state === 'failed' && (
        <p class="hint">The sample could not be loaded; see the server’s log.</p>
      )}
      {sample?.state === 'loading' && <Loading sample={sample} />}
      {ready && tenantId === undefined && (
        <p class="hint">This login does not include the sample.</p>
      )}
      {error !== undefined && result === undefined && <ProblemNotice error={error} />}
      {ready && result !== undefined && <Answer result={result} />}
    </QueryCard>
  )
}

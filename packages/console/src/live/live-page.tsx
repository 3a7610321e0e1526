/** What arrives, as it arrives: the account, the rate, the last hundred events. */
import { useEffect, useState } from 'preact/hooks'
import { tenant } from '../api/session.ts'
import { formatRoute } from '../kit/route.ts'
import { AccountPanel } from './account-panel.tsx'
import { ArrivalTable } from './arrival-table.tsx'
import { ARRIVALS_MAX, type Arrival, openArrivals } from './arrivals.ts'
import { RateChart } from './rate-chart.tsx'

function Empty() {
  return (
    <div class="empty">
      <p>Nothing has arrived since this page was opened.</p>
      <p>
        Put the snippet of a source on your site: <a href={formatRoute('sources')}>Sources</a>. What
        arrived before is in <a href={formatRoute('sql')}>SQL</a>.
      </p>
    </div>
  )
}

export function LivePage() {
  const tenantId = tenant.value?.tenantId
  const [latest, setLatest] = useState<readonly Arrival[]>([])
  const [shown, setShown] = useState<readonly Arrival[] | undefined>()
  const [connected, setConnected] = useState(false)
  useEffect(() => {
    if (tenantId === undefined) return
    setLatest([])
    const stream = openArrivals(tenantId, { latest: setLatest, connected: setConnected })
    return () => stream.close()
  }, [tenantId])
  const paused = shown !== undefined
  const arrivals = shown ?? latest
  return (
    <div class="page live-page">
      <AccountPanel />
      <RateChart />
      <section class="panel" aria-label="Arrivals">
        <header>
          <h2>Arrivals</h2>
          <span class={`dot ${connected ? 'dot-ok' : 'dot-off'}`}>
            {paused ? 'paused' : connected ? 'live' : 'connecting…'}
          </span>
          <span class="spacer" />
          <span class="hint">last {ARRIVALS_MAX}</span>
          <button
            type="button"
            class="button button-small"
            aria-pressed={paused}
            onClick={() => setShown(paused ? undefined : latest)}
          >
            {paused ? 'Resume' : 'Pause'}
          </button>
        </header>
        {arrivals.length === 0 ? <Empty /> : <ArrivalTable arrivals={arrivals} />}
      </section>
    </div>
  )
}

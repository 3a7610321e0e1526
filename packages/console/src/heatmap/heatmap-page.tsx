/** The heatmap of a page: which page, clicks or moves, on which device; binned by SQL, drawn by draw.ts. */
import { useEffect, useState } from 'preact/hooks'
import { numberOf, records, runQuery, textOf } from '../api/query.ts'
import { ProblemNotice } from '../components/notice.tsx'
import { count, duration } from '../kit/format.ts'
import { DEVICES_SQL, type Kind, PAGES_SQL } from './heatmap-sql.ts'
import { Legend } from './legend.tsx'
import { PageFrame } from './page-frame.tsx'
import { type HeatmapReading, readHeatmap } from './reading.ts'

interface PageOption {
  readonly path: string
  readonly clicks: number
  readonly moves: number
}

async function readOptions(): Promise<{ pages: PageOption[]; devices: string[] }> {
  const [pages, devices] = await Promise.all([runQuery(PAGES_SQL), runQuery(DEVICES_SQL)])
  return {
    pages: records(pages).map((row) => ({
      path: textOf(row.path),
      clicks: numberOf(row.clicks),
      moves: numberOf(row.moves),
    })),
    devices: records(devices).map((row) => textOf(row.device)),
  }
}

function Nothing() {
  return (
    <div class="empty">
      <p>No event with a place on a page yet.</p>
      <p>
        A heatmap needs <code>data.pageX</code> and <code>data.pageY</code>. The tracker sends both
        with each click and move; your own sender can, too.
      </p>
    </div>
  )
}

function Facts({ reading }: { reading: HeatmapReading }) {
  return (
    <div class="heat-facts">
      <strong>{count(reading.events)}</strong> {reading.choice.kind} in {count(reading.bins.length)}{' '}
      {reading.bins.length === 1 ? 'cell' : 'cells'}
      <span class="hint">· {duration(reading.elapsedMs)}</span>
      {reading.truncated && <span class="tag tag-warn">the quietest cells are left out</span>}
      <span class="spacer" />
      <Legend bins={reading.bins} />
    </div>
  )
}

export function HeatmapPage() {
  const [options, setOptions] = useState<{ pages: PageOption[]; devices: string[] }>()
  const [path, setPath] = useState<string>()
  const [kind, setKind] = useState<Kind>('clicks')
  const [device, setDevice] = useState('all')
  const [reading, setReading] = useState<HeatmapReading>()
  const [error, setError] = useState<unknown>()
  useEffect(() => {
    readOptions().then((read) => {
      setOptions(read)
      setPath(read.pages[0]?.path)
      // Layouts differ between devices: all in one picture are none of them.
      setDevice(read.devices[0] ?? 'all')
    }, setError)
  }, [])
  useEffect(() => {
    if (path === undefined) return
    const controller = new AbortController()
    readHeatmap({ path, kind, device }, controller.signal).then(
      (read) => {
        setReading(read)
        setError(undefined)
      },
      (reason: unknown) => !controller.signal.aborted && setError(reason),
    )
    return () => controller.abort()
  }, [path, kind, device])
  const shown = reading?.choice
  const busy = shown?.path !== path || shown?.kind !== kind || shown?.device !== device
  return (
    <div class="page heatmap-page">
      <div class="page-head">
        <h1>Heatmap</h1>
        {path !== undefined && options !== undefined && (
          <div class="heat-controls">
            <select
              aria-label="Page"
              value={path}
              onChange={(event) => setPath(event.currentTarget.value)}
            >
              {options.pages.map((page) => (
                <option key={page.path} value={page.path}>
                  {`${page.path}  (${count(page[kind])})`}
                </option>
              ))}
            </select>
            <fieldset class="segmented">
              <legend class="visually-hidden">What to show</legend>
              {(['clicks', 'moves'] as const).map((each) => (
                <button
                  key={each}
                  type="button"
                  aria-pressed={kind === each}
                  onClick={() => setKind(each)}
                >
                  {each}
                </button>
              ))}
            </fieldset>
            <select
              aria-label="Device"
              value={device}
              onChange={(event) => setDevice(event.currentTarget.value)}
            >
              <option value="all">all devices</option>
              {options.devices.map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          </div>
        )}
      </div>
      {error !== undefined && <ProblemNotice error={error} />}
      {options?.pages.length === 0 && <Nothing />}
      {error === undefined && reading === undefined && options?.pages.length !== 0 && (
        <div class="empty" role="status">
          <p>Reading…</p>
        </div>
      )}
      {reading !== undefined && (
        <section class={`panel heat-panel ${busy ? 'busy' : ''}`} aria-busy={busy}>
          <Facts reading={reading} />
          {reading.events === 0 && (
            <p class="hint">
              No {reading.choice.kind} on this page for this choice. Choose another device, or the
              other kind.
            </p>
          )}
          <PageFrame path={reading.choice.path} reading={reading} />
        </section>
      )}
    </div>
  )
}

/** The sparkline. uPlot draws it; it is fetched when the page is first opened, not before. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type uPlot from 'uplot'
import { readLedger } from '../api/ledger.ts'
import { usePoll } from '../kit/poll.ts'
import { useWidth } from '../kit/size.ts'
import { theme, token } from '../kit/theme.ts'
import { EMPTY_RATES, type RateSeries, type Reading, withReading } from './rate.ts'

const READ_EVERY_MS = 1_000
/** Two minutes at a reading a second. */
const POINTS_MAX = 120
const HEIGHT = 96

/** The width of the chart is always the same time, so the line moves instead of being stretched. */
const lastMinutes = (_chart: uPlot, _low: number, high: number): [number, number] => [
  high - (POINTS_MAX * READ_EVERY_MS) / 1_000,
  high,
]

const clockValues = (_chart: uPlot, ticks: number[]): string[] =>
  ticks.map((seconds) => new Date(seconds * 1_000).toTimeString().slice(0, 8))

function options(width: number): uPlot.Options {
  const line = token('--accent')
  const faint = token('--line')
  const label = token('--text-faint')
  const axis: uPlot.Axis = {
    stroke: label,
    font: '11px sans-serif',
    grid: { stroke: faint, width: 1 },
    ticks: { show: false },
  }
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [6, 0, 0, 0],
    scales: {
      x: { range: lastMinutes },
      y: { range: (_chart, _low, high) => [0, Math.max(5, high * 1.15)] },
    },
    axes: [
      { ...axis, size: 20, grid: { show: false }, space: 90, values: clockValues },
      { ...axis, size: 40, space: 28 },
    ],
    series: [
      {},
      { stroke: line, width: 1.75, fill: token('--accent-wash'), points: { show: false } },
    ],
  }
}

const dataOf = (series: RateSeries): uPlot.AlignedData => [[...series.at], [...series.perSecond]]

export function RateChart() {
  const holder = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot>()
  const last = useRef<Reading>()
  const [series, setSeries] = useState(EMPTY_RATES)
  const newest = useRef(series)
  newest.current = series
  const width = useWidth(holder)
  const shade = theme.value

  // The theme changes what the tokens say.
  useEffect(() => {
    let gone = false
    if (width > 0) {
      void import('uplot').then(({ default: UPlot }) => {
        if (!gone && holder.current)
          chart.current = new UPlot(options(width), dataOf(newest.current), holder.current)
      })
    }
    return () => {
      gone = true
      chart.current?.destroy()
      chart.current = undefined
    }
  }, [width, shade])

  useEffect(() => chart.current?.setData(dataOf(series)), [series])

  usePoll(
    async (signal) => {
      const { received } = await readLedger({ signal })
      const next = { atMs: Date.now(), received }
      const before = last.current
      last.current = next
      if (before !== undefined) setSeries((known) => withReading(known, before, next, POINTS_MAX))
    },
    READ_EVERY_MS,
    [],
  )
  const rate = series.perSecond.at(-1)
  return (
    <section class="panel rate" aria-label="Events per second">
      <header>
        <h2>Events per second</h2>
        <span class="rate-now">{rate === undefined ? '–' : rate.toFixed(rate < 10 ? 1 : 0)}</span>
      </header>
      <div ref={holder} class="rate-chart" />
    </section>
  )
}

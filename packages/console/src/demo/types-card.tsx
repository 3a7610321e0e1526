/** The visitor's events by type, asked again every second. */
import { BarChart } from '../components/bar-chart.tsx'
import { typesSql } from './demo-sql.ts'
import type { OwnReading } from './own-reading.ts'
import { QueryCard } from './query-card.tsx'

export function TypesCard({
  reading,
  visitorId,
}: {
  reading: OwnReading | undefined
  visitorId: string
}) {
  const bars = reading?.types ?? []
  return (
    <QueryCard title="Your events by type" sql={typesSql(visitorId)} elapsedMs={reading?.typesMs}>
      {bars.length === 0 ? <p class="hint">Nothing yet.</p> : <BarChart bars={bars} />}
    </QueryCard>
  )
}

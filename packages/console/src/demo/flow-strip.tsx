/** The way of an event, with the time each stage takes at this moment. */
import { duration } from '../kit/format.ts'
import type { OwnReading } from './own-reading.ts'

export function FlowStrip({ reading }: { reading: OwnReading | undefined }) {
  const flow = reading?.ledger.flow
  const stages = [
    { name: 'door', ms: flow?.acceptMs, note: 'request → answer' },
    { name: 'log', ms: flow?.syncMs, note: 'append, fsync' },
    { name: 'lake', ms: reading?.ledger.lagMs, note: 'oldest in wait' },
    {
      name: 'SQL',
      ms: flow?.queryMs ?? reading?.trail.stats.elapsedMs,
      note: `${duration(reading?.roundTripMs)} to you`,
    },
  ]
  return (
    <ol class="flow panel" aria-label="From the door to SQL">
      {stages.map((stage) => (
        <li key={stage.name}>
          <span class="flow-name">{stage.name}</span>
          <span class="flow-ms">{duration(stage.ms)}</span>
          <span class="flow-note">{stage.note}</span>
        </li>
      ))}
    </ol>
  )
}

/** Horizontal bars for a few named numbers. */
import { count } from '../kit/format.ts'

export interface Bar {
  readonly name: string
  readonly value: number
  readonly text?: string
}

export function BarChart({ bars }: { bars: readonly Bar[] }) {
  const most = Math.max(1, ...bars.map((bar) => bar.value))
  return (
    <ul class="bars">
      {bars.map((bar) => (
        <li key={bar.name}>
          <span class="bar-name" title={bar.name}>
            {bar.name}
          </span>
          <span class="bar-track">
            <span class="bar-fill" style={{ width: `${(100 * bar.value) / most}%` }} />
          </span>
          <span class="bar-value">{bar.text ?? count(bar.value)}</span>
        </li>
      ))}
    </ul>
  )
}

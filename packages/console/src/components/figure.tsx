/** One number of the account, large, with its word and its state. */
import type { ComponentChildren } from 'preact'
import { count } from '../kit/format.ts'

export interface FigureProps {
  readonly label: string
  readonly value: number | undefined
  readonly tone?: 'plain' | 'ok' | 'settling' | 'bad' | undefined
  readonly note?: ComponentChildren
}

export function Figure({ label, value, tone = 'plain', note }: FigureProps) {
  return (
    <div class={`figure figure-${tone}`}>
      <dt>{label}</dt>
      <dd>
        <span class="figure-value">{value === undefined ? '–' : count(value)}</span>
        <span class="figure-note">{note}</span>
      </dd>
    </div>
  )
}

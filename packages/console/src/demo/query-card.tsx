/** A statement, what it says at this moment, and a button to take it along. */
import type { ComponentChildren } from 'preact'
import { CopyButton } from '../components/copy-block.tsx'
import { duration } from '../kit/format.ts'

interface QueryCardProps {
  readonly title: string
  readonly sql: string
  readonly elapsedMs: number | undefined
  readonly ribbon?: ComponentChildren
  readonly children: ComponentChildren
}

export function QueryCard({ title, sql, elapsedMs, ribbon, children }: QueryCardProps) {
  return (
    <article class="panel query-card">
      <header>
        <h2>{title}</h2>
        <span class="spacer" />
        <span class="hint">{elapsedMs === undefined ? '' : duration(elapsedMs)}</span>
        <CopyButton text={sql} label="Copy SQL" />
      </header>
      {ribbon}
      <div class="query-answer">{children}</div>
      <pre class="query-sql">
        <code>{sql}</code>
      </pre>
    </article>
  )
}

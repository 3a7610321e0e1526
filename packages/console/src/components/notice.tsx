/** A sentence that wants attention: what happened, and what to do. */
import type { ComponentChildren } from 'preact'
import { asProblem } from '../api/problem.ts'

export function Notice({
  tone,
  children,
}: {
  tone: 'info' | 'warn' | 'bad'
  children: ComponentChildren
}) {
  return (
    <div class={`notice notice-${tone}`} role={tone === 'bad' ? 'alert' : 'status'}>
      {children}
    </div>
  )
}

export function ProblemNotice({ error }: { error: unknown }) {
  const problem = asProblem(error)
  return (
    <Notice tone={problem.code === 'unreachable' ? 'warn' : 'bad'}>
      <p class={problem.message.includes('\n') ? 'problem-detail mono' : 'problem-detail'}>
        {problem.message}
      </p>
      {problem.hint !== '' && <p class="problem-hint">{problem.hint}</p>}
      <code class="problem-code">{problem.code}</code>
    </Notice>
  )
}

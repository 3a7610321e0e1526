/** Stands where the flow is while the server cannot be asked: the figures around it are the last ones. */
import type { ApiProblem } from '../api/problem.ts'

export function FlowCut({ problem }: { problem: ApiProblem }) {
  const down = problem.code === 'unreachable'
  return (
    <div class={`panel flow-cut ${down ? 'flow-down' : ''}`} role="status">
      <strong>{down ? 'The server does not answer.' : problem.message}</strong>
      <span>
        {down ? 'The figures are the last known; the shop keeps its events.' : problem.hint}
      </span>
    </div>
  )
}

/** running → dead → back, with the time it took. */
import { duration } from '../kit/format.ts'
import type { KillState } from './kill.ts'

interface KillStepsProps {
  readonly state: KillState
  readonly nowMs: number
  readonly pid: number | undefined
}

export function KillSteps({ state, nowMs, pid }: KillStepsProps) {
  const { phase } = state
  const alive = phase === 'idle' || phase === 'asked' || phase === 'failed'
  const oldPid = phase === 'back' ? state.killedPid : phase === 'dead' ? state.pid : pid
  const downMs =
    phase === 'back'
      ? state.downtimeMs
      : phase === 'dead'
        ? Math.max(0, nowMs - state.sinceMs)
        : undefined
  return (
    <ol class="kill-steps" aria-live="polite">
      <li class={alive ? 'now-ok' : ''}>
        <strong>{oldPid}</strong>
        {phase === 'asked' ? 'signal 9 sent…' : alive ? 'running, pid' : 'killed'}
      </li>
      <li class={phase === 'dead' ? 'now-bad' : ''}>
        <strong>{downMs === undefined ? '' : duration(downMs)}</strong>
        {phase === 'dead' ? 'restarting…' : 'dead'}
      </li>
      <li class={phase === 'back' ? 'now-ok' : ''}>
        <strong>{phase === 'back' ? state.pid : ''}</strong>
        {phase === 'back' ? 'back, pid' : 'back'}
      </li>
    </ol>
  )
}

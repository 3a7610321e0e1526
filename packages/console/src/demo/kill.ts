/**
 * What happens after the button: asked → dead → back, told apart by whether the server answers and
 * under which process id. Observations come ten times a second; the downtime is as this page saw it.
 */

export type KillState =
  | { readonly phase: 'idle' }
  | { readonly phase: 'asked' | 'dead'; readonly sinceMs: number; readonly pid: number | undefined }
  | {
      readonly phase: 'back'
      readonly atMs: number
      readonly downtimeMs: number
      readonly pid: number
      readonly killedPid: number | undefined
    }
  | { readonly phase: 'failed'; readonly reason: string }

export type Observation =
  | { readonly kind: 'asked'; readonly nowMs: number; readonly pid: number | undefined }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'silence'; readonly nowMs: number }
  | { readonly kind: 'answer'; readonly nowMs: number; readonly pid: number }

/** A server that still answers under its old id after this was not killed. */
export const KILL_WAIT_MS = 10_000

export const isWatching = (state: KillState): boolean =>
  state.phase === 'asked' || state.phase === 'dead'

export function observe(state: KillState, seen: Observation): KillState {
  if (seen.kind === 'asked') return { phase: 'asked', sinceMs: seen.nowMs, pid: seen.pid }
  if (state.phase !== 'asked' && state.phase !== 'dead') return state
  if (seen.kind === 'refused') return { phase: 'failed', reason: seen.reason }
  if (seen.kind === 'silence') {
    return state.phase === 'dead' ? state : { ...state, phase: 'dead', sinceMs: seen.nowMs }
  }
  // Without a known old id, only an answer after silence shows a restart.
  const restarted = state.pid === undefined ? state.phase === 'dead' : seen.pid !== state.pid
  if (restarted) {
    const downtimeMs = seen.nowMs - state.sinceMs
    return { phase: 'back', atMs: seen.nowMs, downtimeMs, pid: seen.pid, killedPid: state.pid }
  }
  if (seen.nowMs - state.sinceMs > KILL_WAIT_MS) {
    return { phase: 'failed', reason: 'the server still answers under its old process id' }
  }
  return state
}

/** Looks at the server ten times a second while somebody waits for its death or return. */
import { useEffect, useState } from 'preact/hooks'
import { readDemoState } from './demo-state.ts'
import { type KillState, type Observation, observe } from './kill.ts'

const LOOK_EVERY_MS = 100
const LOOK_TIMEOUT_MS = 1_000

/** Returns the time of the last look, so that a running downtime can be shown. */
export function useKillWatch(
  watching: boolean,
  update: (change: (known: KillState) => KillState) => void,
): number {
  const [lookedMs, setLookedMs] = useState(0)
  useEffect(() => {
    if (!watching) return
    let timer: ReturnType<typeof setTimeout>
    let gone = false
    const look = async (): Promise<void> => {
      const answer = await readDemoState(LOOK_TIMEOUT_MS)
      if (gone) return
      const nowMs = performance.now()
      const seen: Observation =
        answer === undefined
          ? { kind: 'silence', nowMs }
          : { kind: 'answer', nowMs, pid: answer.pid }
      setLookedMs(nowMs)
      update((known) => observe(known, seen))
      timer = setTimeout(() => void look(), LOOK_EVERY_MS)
    }
    void look()
    return () => {
      gone = true
      clearTimeout(timer)
    }
  }, [watching, update])
  return lookedMs
}

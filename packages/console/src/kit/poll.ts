/**
 * Asks again and again while the page is looked at: one request at a time, the next one `intervalMs`
 * after the last answer, none while the tab is hidden. The signal aborts when the component goes.
 */
import { useEffect, useRef } from 'preact/hooks'

export function usePoll(
  task: (signal: AbortSignal) => Promise<void>,
  intervalMs: number,
  dependencies: readonly unknown[],
): void {
  const latest = useRef(task)
  latest.current = task
  // The caller names what restarts the poll.
  useEffect(() => {
    const controller = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const again = (): void => {
      if (!controller.signal.aborted) timer = setTimeout(run, intervalMs)
    }
    const run = (): void => {
      if (document.hidden) again()
      else latest.current(controller.signal).then(again, again)
    }
    run()
    return () => {
      controller.abort()
      clearTimeout(timer)
    }
  }, [intervalMs, ...dependencies])
}

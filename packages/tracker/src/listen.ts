/**
 * One passive capture listener on `window` per event type, each guarded.
 *
 * `window` in the capture phase sees an event before any handler of the page can stop it. Passive,
 * so that scrolling never waits for us. A fault in here is ours and must not become the page's.
 */

export type Stop = () => void

/** What the watchers hand over: type, when it happened, where, and the numbers of it. */
export type Record = (
  eventType: string,
  event: Event | undefined,
  data: { [key: string]: unknown },
) => void

export function guarded<A extends unknown[]>(run: (...args: A) => void): (...args: A) => void {
  return (...args) => {
    try {
      run(...args)
    } catch {
      // The page must never notice; the account shows what was created and what arrived.
    }
  }
}

export function listen<E extends Event>(
  target: EventTarget,
  types: readonly string[],
  handler: (event: E) => void,
): Stop {
  const guardedHandler = guarded(handler) as EventListener
  for (const type of types) {
    target.addEventListener(type, guardedHandler, { capture: true, passive: true })
  }
  return () => {
    for (const type of types) target.removeEventListener(type, guardedHandler, { capture: true })
  }
}

/** Two decimals of a CSS pixel are finer than any hand or screen; the rest is noise on the wire. */
export const rounded = (value: number): number => Math.round(value * 100) / 100

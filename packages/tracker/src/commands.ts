/**
 * The snippet's side: `millrace('verb', …)`, before and after the script has loaded.
 *
 * The stub `window.millrace = window.millrace || function () { (millrace.q = millrace.q || []).push(
 * arguments) }` collects calls; here they are run in order, and the stub is replaced by a function
 * that runs them at once and returns what the verb returns. Calls that come before `init` wait for
 * it. An unknown verb is ignored: a page must not break because its tracker is older than it.
 */
import { COMMANDS_WAITING_MAX } from './limits.ts'
import { guarded } from './listen.ts'
import { createTracker, type Options, type Tracker } from './tracker.ts'

export type Millrace = (verb: string, ...args: unknown[]) => unknown

export function createCommands(defaults: Partial<Options>): Millrace {
  let tracker: Tracker | undefined
  const waiting: [string, unknown[]][] = []

  return function millrace(verb, ...args) {
    if (verb === 'init') {
      if (tracker) return undefined
      guarded(() => {
        tracker = createTracker({ ...defaults, ...(args[0] as Options) })
        for (const [each, its] of waiting) millrace(each, ...its)
        waiting.length = 0
      })()
      return undefined
    }
    if (tracker === undefined) {
      if (waiting.length < COMMANDS_WAITING_MAX) waiting.push([verb, args])
      return undefined
    }
    const run = tracker[verb as keyof Tracker] as ((...args: unknown[]) => unknown) | undefined
    return Object.hasOwn(tracker, verb) ? run?.(...args) : undefined
  }
}

/**
 * The script `m.js`: takes its settings from its own tag and takes over from the snippet's stub.
 *
 * `<script async src="https://…/m.js" data-key="wk_…">` is a whole installation. Without `data-key`
 * it waits for `millrace('init', { key })`. Other attributes: `data-endpoint`, `data-debug`,
 * `data-consent="measure,profile"` (the purposes that are named are granted, the others refused).
 */
import { createCommands } from './commands.ts'
import type { Consent, Options } from './index.ts'
import { guarded } from './listen.ts'

type Stub = { q?: ArrayLike<unknown>[] }

function consentOf(list: string | undefined): Consent | undefined {
  if (list === undefined) return undefined
  const granted = list.split(/[\s,]+/)
  const has = (purpose: string) => granted.includes(purpose)
  return { measure: has('measure'), profile: has('profile'), personalize: has('personalize') }
}

guarded(() => {
  const script = document.currentScript as HTMLScriptElement | null
  const settings = script?.dataset ?? {}
  const consent = consentOf(settings.consent)
  const defaults: Partial<Options> = {
    endpoint: settings.endpoint ?? `${new URL(script?.src ?? location.href).origin}/v1/events`,
    debug: settings.debug !== undefined && settings.debug !== 'false',
    ...(consent && { consent }),
  }
  const page = window as { millrace?: unknown }
  const stub = page.millrace as Stub | undefined
  const millrace = createCommands(defaults)
  page.millrace = millrace
  if (settings.key) millrace('init', { key: settings.key })
  for (const [verb, ...args] of (stub?.q ?? []).map((call) => Array.from(call))) {
    millrace(verb as string, ...args)
  }
})()

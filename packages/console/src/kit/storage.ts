/** Small things that outlive the tab. A browser that refuses storage costs comfort, never a page. */
const PREFIX = 'millrace.console.'

export function readStored(name: string): string | undefined {
  try {
    return globalThis.localStorage?.getItem(PREFIX + name) ?? undefined
  } catch {
    return undefined
  }
}

export function writeStored(name: string, value: string): void {
  try {
    globalThis.localStorage?.setItem(PREFIX + name, value)
  } catch {
    // Private windows and full quotas refuse; the value is then only the tab's.
  }
}

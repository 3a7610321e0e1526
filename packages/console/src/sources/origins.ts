/** The origins that may send for a source, as a person types them: one a line, or with commas. */

export type Origins = { readonly ok: readonly string[] } | { readonly wrong: string }

/** Each as a browser sends it in `Origin`: scheme, host, port, nothing after. An empty text allows all. */
export function parseOrigins(text: string): Origins {
  const origins: string[] = []
  for (const typed of text.split(/[\s,]+/).filter((part) => part !== '')) {
    const origin = originOf(typed)
    if (origin === undefined) return { wrong: typed }
    if (!origins.includes(origin)) origins.push(origin)
  }
  return { ok: origins }
}

function originOf(typed: string): string | undefined {
  try {
    const url = new URL(typed)
    const plain =
      url.pathname === '/' && url.search === '' && url.hash === '' && url.username === ''
    return plain && /^https?:$/.test(url.protocol) ? url.origin : undefined
  } catch {
    return undefined
  }
}

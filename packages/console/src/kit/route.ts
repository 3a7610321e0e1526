/**
 * The address of a page of the console: `#/sql?q=…`. The part before `?` names the page, the rest its
 * parameters. Everything is in the fragment, so no page of the console ever asks the server for a path.
 */
export const PAGES = ['live', 'sql', 'heatmap', 'sources'] as const
export type PageName = (typeof PAGES)[number]

export interface Route {
  readonly page: PageName
  readonly parameters: Readonly<Record<string, string>>
}

const isPage = (name: string): name is PageName => (PAGES as readonly string[]).includes(name)

/** Reads a fragment; whatever is no page's address is the first page. */
export function parseRoute(hash: string): Route {
  const [name = '', query = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s)
  return {
    page: isPage(name) ? name : 'live',
    parameters: Object.fromEntries(new URLSearchParams(query)),
  }
}

export function formatRoute(
  page: PageName,
  parameters: Readonly<Record<string, string>> = {},
): string {
  const query = new URLSearchParams(parameters).toString()
  return query === '' ? `#/${page}` : `#/${page}?${query}`
}

/** The token of a one-time login link, `#link=TOKEN`, or undefined. */
export function linkToken(hash: string): string | undefined {
  return /^#link=([A-Za-z0-9._~-]+)$/.exec(hash)?.[1]
}

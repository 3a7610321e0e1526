/**
 * The page's address as it may leave the browser: origin, path, and campaign parameters alone.
 *
 * Queries and fragments carry names, mail addresses, search words and tokens, so what is sent is a
 * list of what is known to be harmless, never a list of what is known to be harmful. The server
 * strips again, for senders that are not this library.
 */
import { PATH_LENGTH_MAX } from './limits.ts'

/** Campaign tags, and the click ids of the large ad networks. */
const ALLOWED =
  /^(utm_[a-z_]{1,32}|gclid|gbraid|wbraid|dclid|fbclid|msclkid|ttclid|twclid|li_fat_id)$/

export function pathOf(url: URL | Location): string {
  const kept = url.search
    .slice(1)
    .split('&')
    .filter((pair) => ALLOWED.test(pair.split('=', 1)[0]!))
  const query = kept.length > 0 ? `?${kept.join('&')}` : ''
  return (url.origin + url.pathname + query).slice(0, PATH_LENGTH_MAX)
}

/** Where the visitor came from: the path on the same site, only the origin of another. */
export function referrerOf(referrer: string, ownOrigin: string): string | undefined {
  try {
    const url = new URL(referrer)
    return url.origin === ownOrigin ? pathOf(url) : url.origin
  } catch {
    return undefined
  }
}

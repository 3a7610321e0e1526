/**
 * Origins (RFC 6454) as people write them, in the one spelling that browsers send.
 *
 * `HTTPS://Shop.Example:443/` and `https://shop.example` are one origin; a path, a query or a user name
 * is a mistake that would never match, so it is refused where it can still be mended.
 */

/** `scheme://host[:port]`, or undefined when the text names no web origin. */
export function normalizeOrigin(text: string): string | undefined {
  // The URL parser forgives blanks and back slashes; whoever wrote them meant something else.
  if (!/^https?:\/\/[^\s\\/?#@]+\/?$/i.test(text)) return undefined
  try {
    const { origin, host } = new URL(text)
    return host === '' || host.includes('*') ? undefined : origin
  } catch {
    return undefined
  }
}

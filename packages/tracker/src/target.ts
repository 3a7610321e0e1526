/**
 * A name for the element under the hand: the path from the nearest anchor down to it.
 *
 * An anchor is an element with `data-track` or an id; below it `tag:nth-of-type(n)`, at most eight
 * levels: `[data-track="buy"]>span:nth-of-type(2)`. Text, values, classes, links and any other
 * attribute are never read. Long digits and hex runs in a name are generated, often of a person or
 * an order, so they become `*`; a name with an @ goes whole.
 *
 * A path costs about 17 µs, a look into the cache 0.25 µs, so a path is made once per element and
 * page. An element that moves within its page keeps its first name; that is the price.
 */
import { TARGET_LENGTH_MAX, TARGET_LEVELS_MAX, TARGET_NAME_LENGTH_MAX } from './limits.ts'

/** What a path needs to know of an element, so that it can be tested without a browser. */
export interface Node {
  readonly localName: string
  readonly id?: string
  readonly parentNode: unknown
  readonly previousElementSibling: Node | null
  getAttribute(name: string): string | null
}

export function anonymous(name: string): string {
  return name.includes('@')
    ? '*'
    : name
        .slice(0, TARGET_NAME_LENGTH_MAX)
        .replace(/[0-9a-f]{8,}|\d{4,}/gi, '*')
        // What would end the quoted name, or be no text at all.
        .replace(/["\\\s\0-\x1f]+/g, '_')
}

function nthOfType(node: Node): number {
  let nth = 1
  for (let before = node.previousElementSibling; before; before = before.previousElementSibling) {
    if (before.localName === node.localName) nth++
  }
  return nth
}

/** The parent element, through an open shadow root to its host. */
function parentOf(node: Node): Node | undefined {
  const parent = node.parentNode as { host?: Node; localName?: string } | null
  if (!parent) return undefined
  return parent.localName ? (parent as Node) : parent.host
}

export function describe(element: Node): string {
  const steps: string[] = []
  let node: Node | undefined = element
  while (node && steps.length < TARGET_LEVELS_MAX) {
    const track = node.getAttribute('data-track')
    const id = node.getAttribute('id')
    const anchor = track
      ? `[data-track="${anonymous(track)}"]`
      : id
        ? `#${anonymous(id)}`
        : node.localName === 'body' || node.localName === 'html'
          ? node.localName
          : ''
    steps.unshift(anchor || `${node.localName}:nth-of-type(${nthOfType(node)})`)
    if (anchor) break
    node = parentOf(node)
  }
  return steps.join('>').slice(0, TARGET_LENGTH_MAX)
}

export interface Targets {
  of(event: Event): string
  /** A new page view may reuse elements under new names. */
  forget(): void
}

export function createTargets(): Targets {
  let known = new WeakMap<object, string>()
  return {
    of(event) {
      let node = event.target as (Element & Node) | null
      // Only an element with an open shadow root hides the true target from a window's listener.
      if (node?.shadowRoot) node = event.composedPath()[0] as Element & Node
      if (node?.nodeType === 3) node = node.parentNode as Element & Node
      if (!node?.getAttribute) return node?.nodeType === 9 ? 'document' : 'window'
      let path = known.get(node)
      if (path === undefined) {
        path = describe(node)
        known.set(node, path)
      }
      return path
    },
    forget() {
      known = new WeakMap()
    },
  }
}

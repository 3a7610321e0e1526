/**
 * One-time links into the console: what the program prints at its start, so that nobody types a secret.
 *
 * In memory only, by hash: a link is good for one login of this process's life, and a restart ends it.
 */
import type { Clock, Random } from '../kit/clock.ts'
import { hashSecret, newLink } from './secrets.ts'
import type { Grant } from './tenant-store.ts'

/** Long enough to find the terminal again. */
export const LINK_LIFE_MS = 30 * 60_000
/** Links waiting to be used; the oldest goes first. */
export const LINKS_MAX = 100

export interface Links {
  /** A secret that logs in once, with these grants. */
  mint(grants: readonly Grant[]): string
  /** The grants, the first time and in time; then undefined. */
  take(link: string): readonly Grant[] | undefined
}

export function createLinks({ clock, random }: { clock: Clock; random: Random }): Links {
  const waiting = new Map<string, { grants: readonly Grant[]; endsMs: number }>()
  return {
    mint(grants) {
      const link = newLink(random)
      waiting.set(hashSecret(link), { grants, endsMs: clock.now() + LINK_LIFE_MS })
      if (waiting.size > LINKS_MAX) waiting.delete(waiting.keys().next().value ?? '')
      return link
    },
    take(link) {
      const hash = hashSecret(link)
      const found = waiting.get(hash)
      waiting.delete(hash)
      return found !== undefined && found.endsMs > clock.now() ? found.grants : undefined
    },
  }
}

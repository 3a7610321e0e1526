/**
 * Login by a one-time link, `#link=TOKEN`. The token leaves the address bar before it is used, so that
 * neither history nor a copied address carries it. A fragment never reaches a server or its log.
 */
import { signal } from '@preact/signals'
import { type ApiProblem, asProblem } from '../api/problem.ts'
import { logIn, resumeSession, session } from '../api/session.ts'
import { linkToken } from '../kit/route.ts'

/** Why the link or the first question to the server failed; the login form shows it. */
export const openingProblem = signal<ApiProblem | undefined>(undefined)
export const linkRefused = signal(false)

export function startLogin(): void {
  // A link pasted into a tab that is open already changes the fragment alone.
  addEventListener('hashchange', () => {
    if (linkToken(location.hash) !== undefined) void openSession()
  })
  void openSession()
}

async function openSession(): Promise<void> {
  const token = linkToken(location.hash)
  if (token !== undefined) history.replaceState(null, '', location.pathname + location.search)
  try {
    if (token !== undefined) await logIn({ link: token })
    else await resumeSession()
    linkRefused.value = false
    openingProblem.value = undefined
  } catch (error) {
    const problem = asProblem(error)
    if (token !== undefined && problem.code !== 'unreachable') linkRefused.value = true
    else openingProblem.value = problem
    await resumeSession().catch(() => {
      session.value = null
    })
  }
}

/**
 * Who is looking, and at whose data: the session and the tenant chosen in it.
 *
 * The session itself is a cookie that scripts cannot read; here are only its CSRF value and the tenants
 * it grants. `session.value` is undefined until the server was asked once, null when nobody is logged in.
 */
import { computed, signal } from '@preact/signals'
import { readStored, writeStored } from '../kit/storage.ts'
import { type ApiProblem, problemOf, unreachable } from './problem.ts'

export interface Tenant {
  readonly tenantId: string
  readonly name: string
  readonly synthetic: boolean
  readonly scopes: readonly string[]
}

export interface Session {
  readonly csrf: string
  readonly tenants: readonly Tenant[]
  readonly expiresMs: number
}

export type Credential = { clientId: string; clientSecret: string } | { link: string }

export const session = signal<Session | null | undefined>(undefined)

const chosenTenantId = signal(readStored('tenant') ?? '')

/** The chosen tenant; without a choice the first that holds real data. */
export const tenant = computed<Tenant | undefined>(() => {
  const tenants = session.value?.tenants ?? []
  return (
    tenants.find((each) => each.tenantId === chosenTenantId.value) ??
    tenants.find((each) => !each.synthetic) ??
    tenants[0]
  )
})

export function chooseTenant(tenantId: string): void {
  chosenTenantId.value = tenantId
  writeStored('tenant', tenantId)
}

async function ask(init: RequestInit): Promise<Response> {
  try {
    return await fetch('/v1/session', { ...init, cache: 'no-store', credentials: 'same-origin' })
  } catch (cause) {
    throw unreachable(cause)
  }
}

/** Asks the server who is logged in. A server that does not answer leaves the session as it was. */
export async function resumeSession(): Promise<void> {
  const response = await ask({ method: 'GET' })
  if (response.status === 401) session.value = null
  else if (response.ok) session.value = (await response.json()) as Session
  else throw await problemOf(response)
}

export async function logIn(credential: Credential): Promise<void> {
  const response = await ask({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(credential),
  })
  if (!response.ok) throw await problemOf(response)
  session.value = (await response.json()) as Session
}

export async function logOut(): Promise<void> {
  // Another tab may have logged in anew: the cookie is shared, and so is its end.
  await resumeSession()
  if (!session.value) return
  const headers = { 'x-csrf-token': session.value.csrf }
  const response = await ask({ method: 'DELETE', headers })
  if (!response.ok && response.status !== 401) throw await problemOf(response)
  session.value = null
}

/** The session's end, found out by any request: shows the login form. */
export function forgetSession(problem: ApiProblem): void {
  if (problem.status === 401) session.value = null
}

/**
 * One request to the API in the name of the session: JSON in, JSON out, an ApiProblem otherwise.
 * The tenant travels as a header, so that a tab left open on one tenant can never read another's.
 */
import { ApiProblem, problemOf, unreachable } from './problem.ts'
import { forgetSession, resumeSession, session, tenant } from './session.ts'

export interface Request {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly body?: unknown
  /** Another tenant of the session than the chosen one. */
  readonly tenantId?: string
  readonly signal?: AbortSignal
}

export async function request<Answer>(path: string, options: Request = {}): Promise<Answer> {
  const csrf = session.value?.csrf
  let response = await send(path, initOf(options))
  if (response.status === 403 && (await isNewLogin(csrf))) {
    response = await send(path, initOf(options))
  }
  if (!response.ok) {
    const problem = await problemOf(response)
    forgetSession(problem)
    throw problem
  }
  if (response.status === 204 || response.headers.get('content-length') === '0')
    return undefined as Answer
  return (await response.json().catch((cause: unknown) => {
    throw unreachable(cause)
  })) as Answer
}

/**
 * Whether the login behind the cookie is another than the one that was known: a login in a second tab
 * replaces the cookie of both, and the CSRF value that the first tab holds is that of the old one.
 */
async function isNewLogin(csrf: string | undefined): Promise<boolean> {
  if (session.value?.csrf === csrf) await resumeSession()
  return session.value != null && session.value.csrf !== csrf
}

function initOf(options: Request): RequestInit {
  const headers: Record<string, string> = { accept: 'application/json' }
  const tenantId = options.tenantId ?? tenant.value?.tenantId
  if (tenantId !== undefined) headers['x-millrace-tenant'] = tenantId
  const method = options.method ?? 'GET'
  if (method !== 'GET') headers['x-csrf-token'] = session.value?.csrf ?? ''
  const init: RequestInit = { method, headers, cache: 'no-store', credentials: 'same-origin' }
  if (options.signal !== undefined) init.signal = options.signal
  if (options.body !== undefined) {
    headers['content-type'] = 'application/json'
    init.body = JSON.stringify(options.body)
  }
  return init
}

async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init)
  } catch (cause) {
    if (init.signal?.aborted) throw new ApiProblem(0, 'aborted', 'the request was given up', '')
    throw unreachable(cause)
  }
}

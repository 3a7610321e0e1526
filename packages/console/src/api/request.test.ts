/** A tab whose login was replaced by a login in another tab. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { request } from './request.ts'
import { logOut, type Session, session } from './session.ts'

const sessionOf = (csrf: string): Session => ({ csrf, tenants: [], expiresMs: 0 })

/** What the server does: one cookie for all tabs, whose CSRF value every change must show. */
let cookie: Session | undefined
let asked: string[]
let forbidden: boolean

const json = (body: unknown, status = 200) => Response.json(body, { status })

async function serve(path: string, init: RequestInit = {}): Promise<Response> {
  asked.push(`${init.method} ${path}`)
  if (cookie === undefined) return json({ code: 'unauthorized' }, 401)
  if (init.method === 'GET') return json(cookie)
  const shown = new Headers(init.headers).get('x-csrf-token')
  if (forbidden || shown !== cookie.csrf) return json({ code: 'forbidden', detail: 'no' }, 403)
  return init.method === 'DELETE' ? new Response(null, { status: 204 }) : json({ done: true })
}

beforeEach(() => {
  asked = []
  forbidden = false
  cookie = sessionOf('second')
  session.value = sessionOf('first')
  vi.stubGlobal('fetch', serve)
})
afterEach(() => vi.unstubAllGlobals())

const post = () => request('/v1/query', { method: 'POST', body: { sql: 'select 1' } })

describe('after a login in another tab', () => {
  test('a change is repeated once with the new CSRF value, and the next needs no repetition', async () => {
    expect(await post()).toEqual({ done: true })
    expect(await post()).toEqual({ done: true })
    expect(asked).toEqual(['POST /v1/query', 'GET /v1/session', 'POST /v1/query', 'POST /v1/query'])
  })

  test('changes asked for at once all get through', async () => {
    expect(await Promise.all([post(), post(), post()])).toEqual(Array(3).fill({ done: true }))
  })

  test('logging out ends the login that both share', async () => {
    await logOut()
    expect(asked).toEqual(['GET /v1/session', 'DELETE /v1/session'])
    expect(session.value).toBeNull()
  })
})

test('what the same login may not do stays refused, and is not repeated', async () => {
  session.value = sessionOf('second')
  forbidden = true
  await expect(post()).rejects.toMatchObject({ status: 403, code: 'forbidden' })
  expect(asked).toEqual(['POST /v1/query', 'GET /v1/session'])
})

test('a login that has ended shows the form', async () => {
  cookie = undefined
  await expect(post()).rejects.toMatchObject({ status: 401 })
  expect(session.value).toBeNull()
})

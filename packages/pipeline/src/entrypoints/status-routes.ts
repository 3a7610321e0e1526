/**
 * `/health` (the process answers), `/ready` (it can take events), `/metrics`, and the last word on every
 * request that nobody serves.
 */
import { problem } from '@millrace/protocol'
import { type Context, Hono } from 'hono'
import type { Registry } from 'prom-client'
import { problemResponse } from '../kit/responses.ts'
import { VERSION } from '../kit/version.ts'

export interface StatusParts {
  readonly demo: boolean
  readonly registry: Registry
  /** Why events cannot be taken now; undefined when they can. */
  readonly notReady: () => string | undefined
}

export function statusRoutes({ demo, registry, notReady }: StatusParts): Hono {
  const app = new Hono()
  app.get('/health', (context) => context.json({ status: 'ok', version: VERSION, demo }))
  app.get('/ready', (context) => {
    const why = notReady()
    return why === undefined
      ? context.json({ status: 'ready' })
      : context.json({ status: 'not ready', why }, 503)
  })
  app.get(
    '/metrics',
    async () =>
      new Response(await registry.metrics(), { headers: { 'Content-Type': registry.contentType } }),
  )
  return app
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/** The answer to what nobody serves: 405 where another method would be served, else 404. */
export function notServed(app: Hono, { req }: Context): Response {
  const request = `${req.method} ${req.path.slice(0, 200)}`
  // The files of a folder are a route for every path; they say nothing of this one.
  const allowed = METHODS.filter((method) =>
    app.router.match(method, req.path)[0].some(([[, route]]) => !route.path.endsWith('*')),
  )
  if (allowed.length === 0) return problemResponse(problem('not_found', request))
  return problemResponse(problem('method_not_allowed', request), { Allow: allowed.join(', ') })
}

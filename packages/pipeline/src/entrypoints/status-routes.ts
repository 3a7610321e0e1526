/**
 * `/health` (the process answers), `/ready` (it can take events), `/metrics`, and the last word on every
 * path that nobody serves.
 */
import { problem } from '@millrace/protocol'
import { Hono } from 'hono'
import type { Registry } from 'prom-client'
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

/** The answer to what nobody serves. */
export function notFound(request: Request): Response {
  const body = problem(
    'not_found',
    `${request.method} ${new URL(request.url).pathname.slice(0, 200)}`,
  )
  return new Response(JSON.stringify(body), {
    status: 404,
    headers: { 'Content-Type': 'application/problem+json' },
  })
}

/**
 * Routes that exist only in the demo: the page, its state, and the button that kills the server.
 *
 * `/demo/state` is open to everybody on this address: it holds the public write key and how far the
 * sample is. Killing needs a login with the CSRF token, as every change does.
 */
import type { Problem } from '@millrace/protocol'
import { Hono } from 'hono'
import { jsonResponse, problemResponse } from '../kit/responses.ts'

/** Lets the answer reach the page before the process is gone. */
const KILL_DELAY_MS = 100

export interface DemoState {
  sample: { readonly state: string; readonly loaded: number; readonly total: number }
  restarts: number
}

export interface DemoParts {
  /** What the supervisor says; it changes. */
  readonly state: DemoState
  readonly startedMs: number
  readonly writeKey: string
  readonly authorize: (request: Request) => Promise<object | Problem>
}

export function demoRoutes({ state, startedMs, writeKey, authorize }: DemoParts): Hono {
  const app = new Hono()
  app.get('/demo/state', () => jsonResponse({ ...state, pid: process.pid, startedMs, writeKey }))
  app.post('/demo/kill', async (context) => {
    const principal = await authorize(context.req.raw)
    if (!('tenant' in principal)) return problemResponse(principal as Problem)
    // SIGKILL cannot be caught: no handler of ours tidies up, which is the point.
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), KILL_DELAY_MS)
    return jsonResponse({ pid: process.pid }, 202)
  })
  return app
}

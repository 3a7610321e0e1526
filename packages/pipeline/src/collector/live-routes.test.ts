import { expect, test } from 'vitest'
import type { Tenant } from '../tenants/tenant-store.ts'
import { LiveFeed } from './live-feed.ts'
import { liveRoutes } from './live-routes.ts'

test('a stream ends when the server stops, though nothing arrives', async () => {
  const stopping = new AbortController()
  const tenant = { tenantNo: 1, tenantId: 'shop' } as Tenant
  const app = liveRoutes({
    live: new LiveFeed({ now: Date.now }),
    stopping: stopping.signal,
    authorize: async () => ({ tenant }),
  })
  const answer = await app.request('/v1/live')
  const reader = answer.body!.getReader()
  const first = await reader.read()
  expect(new TextDecoder().decode(first.value)).toBe(': open\n\n')
  await new Promise((resolve) => setTimeout(resolve, 50))
  const startedMs = performance.now()
  stopping.abort()
  const seen: string[] = []
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    seen.push(new TextDecoder().decode(next.value))
  }
  expect(seen.join('')).not.toContain('data:')
  // Not at its next sign of life, which comes every fifteen seconds.
  expect(performance.now() - startedMs).toBeLessThan(10_000)
})

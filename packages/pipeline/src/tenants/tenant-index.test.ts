import { expect, test } from 'vitest'
import { TenantIndex } from './tenant-index.ts'
import { SESSIONS_MAX } from './tenant-store.ts'

test('above the limit the session that ends first makes room, and only that one', () => {
  const index = new TenantIndex()
  const put = (tokenHash: string, expiresMs: number) =>
    index.sessions.set(tokenHash, { tokenHash, clientId: null, grants: [], expiresMs })
  for (let i = 0; i < SESSIONS_MAX - 1; i++) put(`s${i}`, 2_000 + ((i + 5) % (SESSIONS_MAX - 1)))
  expect(index.sessionsToDrop(1_000)).toEqual([])
  put('last', 9_000_000)
  expect(index.sessionsToDrop(1_000)).toEqual([`s${SESSIONS_MAX - 6}`])
})

import { problem } from '@millrace/protocol'
import { beforeEach, describe, expect, test } from 'vitest'
import { systemRandom } from '../kit/clock.ts'
import { type LeftEvents, NONE_LEFT } from '../lake/progress.ts'
import type { BatchEntry } from '../log/event-log.ts'
import { type MemoryLog, openMemoryLog } from '../log/memory-log.ts'
import { type LedgerParts, ledgerOf, ledgerRoutes } from './ledger-routes.ts'

const FLOW = { acceptMs: 1, syncMs: 2, queryMs: null }
const TENANT = { tenantNo: 1, tenantId: 'acme' }
let log: MemoryLog
let batches = 0

beforeEach(() => {
  log = openMemoryLog({ clock: { now: () => 0 }, random: systemRandom })
})

function append(tenantNo: number, eventCount: number, rejectedCount: number, receivedMs: number) {
  const events = Array(eventCount).fill({ eventType: 'x', timestamp: 1, path: '/' })
  const entry: BatchEntry = {
    tenantNo,
    sourceNo: 1,
    receivedMs,
    sentMs: null,
    batchId: `b-${batches++}`,
    eventCount,
    flags: 0,
    indexes: null,
    defaults: '{}',
    context: '{}',
    events: Buffer.from(JSON.stringify(events)),
    packed: null,
    rejections: Array.from({ length: rejectedCount }, (_, index) => ({
      index,
      code: 'empty' as const,
      detail: '',
      pointer: '',
      raw: '',
    })),
  }
  return log.append(entry)
}

const parts = (
  delivered: { events: number; nextOffset: number; left?: LeftEvents },
  duplicates = 0,
) => ({
  log,
  delivered: async () => ({ left: NONE_LEFT, ...delivered }),
  duplicates: () => duplicates,
  flow: () => FLOW,
  now: () => 9_000,
})

describe('the account', () => {
  test('of a tenant that sent nothing is all zeros, and nothing waits', async () => {
    expect(await ledgerOf(parts({ events: 0, nextOffset: 0 }), TENANT)).toEqual({
      received: 0,
      accepted: 0,
      rejected: 0,
      duplicate: 0,
      delivered: 0,
      pending: 0,
      undeliverable: 0,
      suppressed: 0,
      lagMs: null,
      flow: FLOW,
    })
  })

  test('both sums come out', async () => {
    await append(1, 10, 2, 1_000)
    const { offset } = await append(1, 5, 0, 2_000)
    await append(2, 99, 99, 2_500)
    await append(1, 4, 1, 3_000)
    const left = { duplicates: 2, undeliverable: 1 }
    const account = await ledgerOf(parts({ events: 12, nextOffset: offset + 1, left }, 7), TENANT)
    expect(account).toMatchObject({ received: 29, accepted: 19, rejected: 3, duplicate: 7 })
    expect(account).toMatchObject({ delivered: 12, pending: 4, undeliverable: 1, suppressed: 2 })
    const { delivered, pending, undeliverable, suppressed } = account
    expect(delivered + pending + undeliverable + suppressed).toBe(account.accepted)
  })

  test('a sum that does not come out is shown, not mended', async () => {
    await append(1, 10, 0, 1_000)
    const account = await ledgerOf(parts({ events: 3, nextOffset: 1 }), TENANT)
    expect(account).toMatchObject({ accepted: 10, delivered: 3, pending: 0 })
  })

  test('lagMs is the age of the oldest event that waits, never negative', async () => {
    await append(1, 1, 0, 1_000)
    await append(1, 1, 0, 5_000)
    const at = (nextOffset: number) => ledgerOf(parts({ events: 0, nextOffset }), TENANT)
    expect((await at(0)).lagMs).toBe(8_000)
    expect((await at(1)).lagMs).toBe(4_000)
    expect((await at(2)).lagMs).toBeNull()
    await append(1, 1, 0, 20_000)
    expect((await at(2)).lagMs).toBe(0)
  })
})

describe('GET /v1/ledger', () => {
  const app = (authorize: LedgerParts['authorize']) =>
    ledgerRoutes({ ...parts({ events: 0, nextOffset: 0 }), authorize })

  test('answers the tenant of the credential, under scope events:read', async () => {
    await append(1, 3, 0, 0)
    const scopes: string[] = []
    const answer = await app(async (_, scope) => {
      scopes.push(scope)
      return { tenant: TENANT } as never
    }).request('/v1/ledger')
    expect(await answer.json()).toMatchObject({ accepted: 3 })
    expect(scopes).toEqual(['events:read'])
  })

  test('refuses as the credential says', async () => {
    const closed = app(async () => problem('forbidden', 'no') as never)
    expect((await closed.request('/v1/ledger')).status).toBe(403)
  })
})

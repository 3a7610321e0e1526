import { Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import { type DeliveryStanding, standingOf } from '../delivery/standing.ts'
import { meterDelivery, tooFarBehind } from './delivery-status.ts'

const MIB = 1_048_576
const COUNTS = { failures: 3, delivered: 10, undeliverable: 1, suppressed: 2 }
const standing = (overdueMinutes: number, mib: number, error?: string): DeliveryStanding =>
  standingOf(
    [
      { tenantNo: 1, lagMs: 5_000, overdueMs: 0, error: undefined, bytes: 0 },
      { tenantNo: 2, lagMs: 9_000, overdueMs: overdueMinutes * 60_000, error, bytes: mib * MIB },
    ],
    COUNTS,
  )
const name = (tenantNo: number) => `t${tenantNo}`

describe('delivery is too far behind', () => {
  const limits = { lagMinutes: 15, pendingMib: 100 }
  test('when it is overdue for longer than the limit: who, for how long, and why', () => {
    expect(tooFarBehind(standing(15, 1), limits, name)).toBeUndefined()
    expect(tooFarBehind(standing(16, 1), limits, name)).toBe(
      'delivery of tenant t2 is overdue by 16 minutes',
    )
    const why = "EACCES: permission denied, open '/srv/acme/lake/x' "
    expect(tooFarBehind(standing(16, 1, why + 'y'.repeat(999)), limits, name)).toMatch(
      /; the last failure: EACCES: permission denied, open '…' y{100,165}$/,
    )
  })

  test('when more waits than is allowed', () => {
    expect(tooFarBehind(standing(0, 99), limits, name)).toBeUndefined()
    expect(tooFarBehind(standing(0, 100), limits, name)).toBe(
      '100 MiB wait for the lake, 100 are allowed',
    )
  })

  test('never, where the limits are 0', () => {
    expect(
      tooFarBehind(standing(9_999, 9_999), { lagMinutes: 0, pendingMib: 0 }, name),
    ).toBeUndefined()
  })
})

test('metrics say the oldest lag, that of each of some tenants, what waits, and what became of events', async () => {
  const registry = new Registry()
  meterDelivery(registry, () => standing(2, 3), name)
  await registry.metrics()
  // Twice: what is collected anew must not add up.
  const text = await registry.metrics()
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  expect(lines).toEqual([
    'millrace_delivery_lag_seconds 9',
    'millrace_delivery_tenant_lag_seconds{tenant="t2"} 9',
    'millrace_delivery_tenant_lag_seconds{tenant="t1"} 5',
    'millrace_delivery_overdue_seconds 120',
    `millrace_delivery_pending_bytes ${3 * MIB}`,
    'millrace_delivery_failures_total 3',
    'millrace_events_total{outcome="delivered"} 10',
    'millrace_events_total{outcome="undeliverable"} 1',
    'millrace_events_total{outcome="suppressed"} 2',
  ])
})

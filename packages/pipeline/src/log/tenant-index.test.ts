import { describe, expect, test } from 'vitest'
import { TenantIndex } from './tenant-index.ts'

const ALL = 1 << 30

/** Record `offset` of a tenant: `offset` bytes, as many events, one refused. */
function recordOf(offset: number, tenantNo = 1) {
  const startByte = (offset * (offset - 1)) / 2
  return {
    offset,
    tenantNo,
    segment: 0,
    startByte,
    endByte: startByte + offset,
    receivedMs: 1_000 + offset,
    acceptedCount: offset,
    rejectedCount: 1,
  }
}

function filled(count: number): TenantIndex {
  const index = new TenantIndex()
  for (let offset = 0; offset < count; offset++) index.add(recordOf(offset))
  return index
}

describe('rows that are forgotten', () => {
  test('leave totals, and everything from their end on, as they were', () => {
    for (const below of [0, 1, 7, 49, 50, 99, 100, 500]) {
      const whole = filled(100)
      const index = filled(100)
      index.forget(1, below)
      expect(index.totals(1)).toEqual(whole.totals(1))
      expect(index.floor(1)).toBe(Math.min(below, 100))
      for (let from = below; from < 105; from++) {
        expect(index.pending(1, from)).toEqual(whole.pending(1, from))
        expect(index.slice(1, from, ALL)).toEqual(whole.slice(1, from, ALL))
        expect(index.slice(1, from, 200)).toEqual(whole.slice(1, from, 200))
      }
      expect(index.pending(1, 0).recordCount).toBe(Math.max(0, 100 - below))
    }
  })

  test('a little at a time while others come, the same', () => {
    const whole = filled(0)
    const index = filled(0)
    for (let offset = 0; offset < 1_000; offset++) {
      for (const each of [whole, index]) each.add(recordOf(offset))
      index.forget(1, offset - (offset % 37))
    }
    expect(index.totals(1)).toEqual(whole.totals(1))
    expect(index.slice(1, 999, ALL)).toEqual(whole.slice(1, 999, ALL))
    expect(index.pending(1, 0).recordCount).toBe(1_000 - index.floor(1))
  })

  test('of what never had a row: counted, and what comes after is there', () => {
    const whole = filled(20)
    const index = new TenantIndex()
    for (let offset = 0; offset < 12; offset++) {
      index.addGone(1, { ...recordOf(offset), recordCount: 1 }, offset + 1)
    }
    for (let offset = 12; offset < 20; offset++) index.add(recordOf(offset))
    expect(index.totals(1)).toEqual(whole.totals(1))
    expect(index.floor(1)).toBe(12)
    expect(index.slice(1, 12, ALL)).toEqual(whole.slice(1, 12, ALL))
    expect(index.tenants()).toEqual([1])
  })
})

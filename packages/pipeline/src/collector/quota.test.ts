import { describe, expect, test } from 'vitest'
import { BURST_MS, Quota, type QuotaRates, type Rates } from './quota.ts'

const FREE: Rates = { requestsPerSecond: 0, bytesPerSecond: 0 }
const quota = (rates: Partial<QuotaRates>) =>
  new Quota({ key: FREE, tenant: FREE, server: FREE, ...rates })
const requests = (requestsPerSecond: number): Rates => ({ requestsPerSecond, bytesPerSecond: 0 })
const bytes = (bytesPerSecond: number): Rates => ({ requestsPerSecond: 0, bytesPerSecond })
const A = { sourceNo: 1, tenantNo: 1 }
const B = { sourceNo: 2, tenantNo: 2 }

/** Offers `perSecond` requests of `size` bytes, evenly, and counts those that are let in. */
function offer(to: Quota, spender: typeof A, perSecond: number, seconds: number, size = 100) {
  let taken = 0
  for (let at = 0; at < perSecond * seconds; at++) {
    if (to.take(spender, size, (at * 1_000) / perSecond) === undefined) taken++
  }
  return taken
}

describe('a write key', () => {
  test('gets its rate and one burst, however much more is sent', () => {
    for (const overload of [1.5, 3, 10, 100]) {
      const taken = offer(quota({ key: requests(100) }), A, 100 * overload, 60)
      expect(taken).toBeGreaterThanOrEqual(100 * 60)
      expect(taken).toBeLessThanOrEqual(100 * 60 + (100 * BURST_MS) / 1_000 + 1)
    }
  })

  test('that keeps within its rate is never refused', () => {
    expect(offer(quota({ key: requests(100) }), A, 100, 60)).toBe(6_000)
    expect(offer(quota({ key: bytes(10_000) }), A, 100, 60, 100)).toBe(6_000)
  })

  test('is held by bytes as well as by requests', () => {
    const taken = offer(quota({ key: bytes(1_000) }), A, 100, 60, 100)
    expect(taken).toBeGreaterThanOrEqual(600)
    expect(taken).toBeLessThanOrEqual(621)
  })

  test('is let in again exactly when it was told', () => {
    const to = quota({ key: requests(10) })
    for (let at = 0; at < 20; at++) expect(to.take(A, 0, 0)).toBeUndefined()
    const refused = to.take(A, 0, 0)!
    expect(refused).toMatchObject({ level: 'key', unit: 'requests', perSecond: 10, remaining: 0 })
    expect(to.take(A, 0, refused.waitMs - 0.01)).toBeDefined()
    expect(to.take(A, 0, refused.waitMs)).toBeUndefined()
  })

  test('may send one request larger than a whole burst, and then waits for all of it', () => {
    const to = quota({ key: bytes(1_000) })
    expect(to.take(A, 10_000, 0)).toBeUndefined()
    expect(to.take(A, 1_000, 8_900)?.waitMs).toBeCloseTo(100)
    expect(to.take(A, 1_000, 9_001)).toBeUndefined()
  })

  test('owes what its bytes unpacked to', () => {
    const to = quota({ key: bytes(1_000) })
    expect(to.take(A, 100, 0)).toBeUndefined()
    to.charge(A, 5_000, 0)
    expect(to.take(A, 100, 0)?.waitMs).toBeCloseTo(3_200)
  })
})

describe('levels', () => {
  test('what one refuses is charged to none', () => {
    const to = quota({ key: requests(1), tenant: requests(100), server: requests(100) })
    for (let at = 0; at < 1_000; at++) to.take(A, 0, 0)
    // Two of the tenant's two hundred are gone, and not a thousand.
    let taken = 0
    for (let source = 10; source < 1_000; source++) {
      if (to.take({ sourceNo: source, tenantNo: 1 }, 0, 0) === undefined) taken++
    }
    expect(taken).toBe(198)
  })

  test('a tenant with many keys has one quota over them', () => {
    const to = quota({ key: requests(100), tenant: requests(200) })
    let taken = 0
    for (let source = 1; source <= 50; source++) {
      for (let at = 0; at < 100; at++) {
        if (to.take({ sourceNo: source, tenantNo: 1 }, 0, 0) === undefined) taken++
      }
    }
    expect(taken).toBe(400)
  })

  test('a tenant at ten times its quota costs its neighbour at half of it nothing', () => {
    const to = quota({ key: requests(1_000), tenant: requests(1_000) })
    let ofA = 0
    let refusedB = 0
    for (let ms = 0; ms < 60_000; ms++) {
      for (let at = 0; at < 10; at++) if (to.take(A, 0, ms) === undefined) ofA++
      if (ms % 2 === 0 && to.take(B, 0, ms) !== undefined) refusedB++
    }
    expect(refusedB).toBe(0)
    expect(ofA / 60_000).toBeGreaterThan(0.95)
    expect(ofA / 60_000).toBeLessThan(1.05)
  })

  test('a server credential has no key to be held by, but its tenant', () => {
    const to = quota({ key: requests(1), tenant: requests(50) })
    const server = { sourceNo: undefined, tenantNo: 1 }
    let taken = 0
    for (let at = 0; at < 1_000; at++) if (to.take(server, 0, 0) === undefined) taken++
    expect(taken).toBe(100)
  })

  test('nothing limited is nothing refused', () => {
    expect(offer(quota({}), A, 10_000, 2)).toBe(20_000)
  })
})

test('a key of any number has a bucket of its own, and takes sixteen bytes', () => {
  const to = quota({ key: { requestsPerSecond: 1, bytesPerSecond: 1_000_000 } })
  const before = process.memoryUsage().arrayBuffers
  for (let sourceNo = 1; sourceNo <= 100_000; sourceNo++) {
    expect(to.take({ sourceNo, tenantNo: 1 }, 1, 0)).toBeUndefined()
  }
  // Doubled when full, and what was outgrown may not be collected yet.
  expect((process.memoryUsage().arrayBuffers - before) / 100_000).toBeLessThan(100)
  for (const sourceNo of [1, 63, 64, 65, 99_999]) {
    expect(to.take({ sourceNo, tenantNo: 1 }, 1, 0)).toBeUndefined()
    expect(to.take({ sourceNo, tenantNo: 1 }, 1, 0)).toBeDefined()
  }
})

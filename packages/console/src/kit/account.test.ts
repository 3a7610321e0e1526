import { describe, expect, test } from 'vitest'
import { accountOf, createVerdict, rowsOf, unaccounted } from './account.ts'

const counts = { numbered: 100, unnumbered: 5, inSql: 105, rejectedNumbered: 0 }

describe('account', () => {
  test('with every number present nothing is lost', () => {
    expect(accountOf(counts, 105, 105)).toEqual({ sent: 105, lost: 0, difference: 0 })
  })

  test('a gap in the numbers is a loss, a refused number is not', () => {
    const gap = { ...counts, inSql: 102, rejectedNumbered: 1 }
    expect(accountOf(gap, 102, 102).lost).toBe(2)
  })

  test('refusals beyond the gaps never make a negative loss', () => {
    expect(accountOf({ ...counts, rejectedNumbered: 9 }, 105, 105).lost).toBe(0)
  })

  test('a count between the two readings of the ledger agrees, outside it differs by the nearest', () => {
    expect(accountOf(counts, 100, 110).difference).toBe(0)
    expect(accountOf(counts, 107, 110).difference).toBe(-2)
    expect(accountOf(counts, 100, 104).difference).toBe(1)
  })

  test('what is undeliverable or was there already is no row, and is accounted for', () => {
    const ledger = { accepted: 20, delivered: 10, pending: 5, undeliverable: 3, suppressed: 2 }
    expect([rowsOf(ledger), unaccounted(ledger)]).toEqual([15, 0])
    expect(unaccounted({ ...ledger, delivered: 9 })).toBe(1)
    expect(unaccounted({ ...ledger, pending: 7 })).toBe(-2)
  })

  test('an amount settles for a while, then is bad, and zero forgives it', () => {
    const verdict = createVerdict(1_000)
    expect(verdict(3, 0)).toBe('settling')
    expect(verdict(3, 999)).toBe('settling')
    expect(verdict(2, 1_000)).toBe('bad')
    expect(verdict(0, 1_001)).toBe('ok')
    expect(verdict(1, 1_002)).toBe('settling')
  })
})

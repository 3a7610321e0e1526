import { expect, test } from 'vitest'
import { RecentMedian } from './recent-median.ts'

const medianOf = (values: readonly number[]) => {
  const median = new RecentMedian()
  for (const value of values) median.add(value)
  return median.get()
}

test('there is none before the first value', () => {
  expect(medianOf([])).toBeNull()
})

test('it is a value that was added, in the middle by size and not by place or text', () => {
  expect(medianOf([7])).toBe(7)
  expect(medianOf([100, 9, 20])).toBe(20)
  expect(medianOf([0.5, 1000, 3, 2, 1])).toBe(2)
})

test('a single outlier does not move it', () => {
  expect(medianOf([...Array(50).fill(2), 60_000])).toBe(2)
})

test('only the last 255 count', () => {
  expect(medianOf([...Array(1_000).fill(9_000), ...Array(255).fill(3)])).toBe(3)
  expect(medianOf([...Array(255).fill(9_000), ...Array(127).fill(3)])).toBe(9_000)
  expect(medianOf([...Array(255).fill(9_000), ...Array(128).fill(3)])).toBe(3)
})

test('asking changes nothing: the oldest still goes first', () => {
  const median = new RecentMedian()
  for (const value of [...Array(128).fill(9_000), ...Array(127).fill(3)]) median.add(value)
  expect([median.get(), median.get()]).toEqual([9_000, 9_000])
  median.add(3)
  expect(median.get()).toBe(3)
})

import { describe, expect, test } from 'vitest'
import { type Bin, colorize, fit, hotCount, paletteBytes, strength } from './bins.ts'
import { binsSql, extentSql } from './heatmap-sql.ts'

const bin = (count: number): Bin => ({ x: 0, y: 0, count })

describe('bins', () => {
  test('one very busy cell does not cool all others down', () => {
    const bins = [...Array.from({ length: 99 }, () => bin(4)), bin(100_000)]
    expect(hotCount(bins.slice(0, 99))).toBe(4)
    expect(hotCount([...bins, ...bins.slice(0, 99)])).toBe(4)
  })

  test('strength is between nothing and one, and grows with the count', () => {
    expect(strength(0, 10)).toBe(0)
    expect(strength(10, 10)).toBe(1)
    expect(strength(999, 10)).toBe(1)
    expect(strength(2, 10)).toBeGreaterThan(strength(1, 10))
  })

  test('no cells are drawn without dividing by zero', () => {
    expect(hotCount([])).toBe(1)
  })

  test('a wide page shrinks to the room, a narrow one is not blown up', () => {
    expect(fit({ width: 1_440, height: 3_000 }, 720)).toEqual({
      scale: 0.5,
      width: 720,
      height: 1_500,
    })
    expect(fit({ width: 390, height: 800 }, 720)).toEqual({ scale: 1, width: 390, height: 800 })
  })
})

describe('palette', () => {
  test('it begins transparent, ends hot, and never gets more transparent on the way', () => {
    const bytes = paletteBytes()
    expect(bytes[3]).toBe(0)
    expect([...bytes.slice(-4)]).toEqual([238, 80, 44, 235])
    for (let step = 1; step < 256; step++) {
      expect(bytes[step * 4 + 3]).toBeGreaterThanOrEqual(bytes[(step - 1) * 4 + 3]!)
    }
  })

  test('a pixel takes the colour of its alpha, an empty one stays empty', () => {
    const pixels = new Uint8ClampedArray([0, 0, 0, 0, 0, 0, 0, 255])
    colorize(pixels, paletteBytes())
    expect([...pixels]).toEqual([0, 0, 0, 0, 238, 80, 44, 235])
  })
})

test('a path with a quote stays a text in every statement', () => {
  const choice = { path: "/x' or true --", kind: 'clicks', device: 'all' } as const
  for (const sql of [binsSql(choice), extentSql(choice)]) {
    expect(sql.split(`path = '/x'' or true --'`)).toHaveLength(3)
    expect(sql).not.toContain("/x' or")
  }
})

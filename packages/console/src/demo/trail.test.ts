import { expect, test } from 'vitest'
import { trailSql } from './demo-sql.ts'
import { fitBox, trailPoints } from './trail.ts'

const result = (rows: unknown[][]) => ({
  columns: ['event_type', 'client_x', 'client_y', 'age_ms'].map((name) => ({
    name,
    type: 'DOUBLE',
  })),
  rows,
  truncated: false,
  stats: { elapsedMs: 1, rowCount: rows.length },
})

test('the trail has the shape of the viewport, whichever side is the narrow one', () => {
  expect(fitBox({ width: 800, height: 400 }, { width: 200, height: 200 })).toEqual({
    width: 200,
    height: 100,
    scale: 0.25,
  })
  expect(fitBox({ width: 400, height: 800 }, { width: 200, height: 200 })).toEqual({
    width: 100,
    height: 200,
    scale: 0.25,
  })
  expect(fitBox({ width: 0, height: 0 }, { width: 200, height: 100 }).scale).toBe(1)
})

test('a point is where the pointer was, scaled, and fades with its age', () => {
  const points = trailPoints(
    result([
      ['pointermove', 100, 40, 0],
      ['click', '100', '40', '7500'],
    ]),
    0.5,
  )
  expect(points).toEqual([
    { x: 50, y: 20, click: false, freshness: 1 },
    { x: 50, y: 20, click: true, freshness: 0.5 },
  ])
})

test('an age beyond the trail or before now stays within its bounds, and no place is no point', () => {
  const points = trailPoints(
    result([
      ['pointermove', 1, 1, 99_999],
      ['pointermove', 1, 1, -50],
      ['click', null, 1, 0],
    ]),
    1,
  )
  expect(points.map((point) => point.freshness)).toEqual([0, 1])
})

test('an id from the frame cannot end its literal', () => {
  expect(trailSql("v'", 'p')).toContain(`visitor_id = 'v'''`)
})

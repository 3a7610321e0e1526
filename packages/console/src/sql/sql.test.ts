import { expect, test } from 'vitest'
import { HISTORY_MAX, withStatement } from './history.ts'
import { indent, outdent } from './tab-key.ts'
import { ROW_HEIGHT, visibleRows } from './visible-rows.ts'

test('tab writes two blanks at the cursor and moves it behind them', () => {
  expect(indent({ text: 'ab', start: 1, end: 1 })).toEqual({ text: 'a  b', start: 3, end: 3 })
})

test('tab over a selection indents its lines, and back again', () => {
  const edit = { text: 'a\nb\nc', start: 1, end: 3 }
  const inside = indent(edit)
  expect(inside).toEqual({ text: '  a\n  b\nc', start: 3, end: 7 })
  expect(outdent(inside)).toEqual(edit)
})

test('outdenting what is not indented changes nothing', () => {
  expect(outdent({ text: 'ab', start: 0, end: 1 })).toEqual({ text: 'ab', start: 0, end: 1 })
})

test('rows in sight are drawn, rows far away are not, and the ends hold', () => {
  const middle = visibleRows(500 * ROW_HEIGHT, 300, 1_000)
  expect(middle.from).toBeLessThanOrEqual(500)
  expect(middle.to).toBeGreaterThanOrEqual(510)
  expect(middle.to - middle.from).toBeLessThan(60)
  expect(visibleRows(0, 300, 3)).toEqual({ from: 0, to: 3 })
  expect(visibleRows(9_999, 300, 0)).toEqual({ from: 0, to: 0 })
})

test('a statement run again moves to the front of a bounded history', () => {
  let history: readonly string[] = []
  for (let n = 0; n < HISTORY_MAX + 5; n++) history = withStatement(history, `select ${n}`)
  expect(history).toHaveLength(HISTORY_MAX)
  expect(withStatement(history, 'select 20')[0]).toBe('select 20')
  expect(withStatement(history, 'select 20')).toHaveLength(HISTORY_MAX)
  expect(withStatement(['a', 'b', 'c'], 'b')).toEqual(['b', 'a', 'c'])
})

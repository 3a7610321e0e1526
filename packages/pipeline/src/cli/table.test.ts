import { expect, test } from 'vitest'
import { printable, textTable } from './table.ts'

test('numbers stand to the right, the rest to the left, null is ∅', () => {
  const rows = [
    ['click', 12, null],
    ['pointermove', 1_000, 'x'],
  ]
  expect(textTable(['type', 'n', 'note'], rows).split('\n')).toEqual([
    'type            n  note',
    '───────────  ────  ────',
    'click          12  ∅',
    'pointermove  1000  x',
  ])
})

test('without rows there are the headers, and without columns nothing breaks', () => {
  expect(textTable(['a'], [])).toBe('a\n─')
  expect(textTable([], [])).toBe('\n')
})

test('wide cells are cut, objects are JSON', () => {
  const [, , row = ''] = textTable(['a', 'b'], [['x'.repeat(200), { k: [1] }]]).split('\n')
  expect(row).toBe(`${'x'.repeat(59)}…  {"k":[1]}`)
})

const HOSTILE = [
  '\u001b[31mred\u001b[0m',
  '\u001b]0;title\u0007',
  '\u009b31m',
  'a\rb\nc\u0000',
  'a\u007f\b\b',
  'right\u202eleft',
  'two\u2028lines',
  '\ud800',
]
test.each(HOSTILE)('%j steers no terminal, in a cell, a nested value or a header', (text) => {
  const steering = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u
  expect(steering.test(text)).toBe(true)
  for (const table of [textTable([text], [[text]]), textTable(['a'], [[{ [text]: [text] }]])]) {
    expect(table.split('\n')).toHaveLength(3)
    expect(steering.test(table)).toBe(false)
  }
})

test('text of people stays as it is', () => {
  expect(printable('Größe 🛶 カヤック')).toBe('Größe 🛶 カヤック')
})

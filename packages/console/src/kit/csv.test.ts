import { expect, test } from 'vitest'
import { csv, csvCell } from './csv.ts'
import { sqlList, sqlString } from './sql-text.ts'

test('commas, quotes and line breaks are quoted, everything else is bare', () => {
  expect(
    csv(
      ['a', 'b'],
      [
        ['x,y', 'say "hi"'],
        ['line\nbreak', 7],
      ],
    ),
  ).toBe('a,b\r\n"x,y","say ""hi"""\r\n"line\nbreak",7\r\n')
})

test('null is empty and an object is JSON', () => {
  expect(csvCell(null)).toBe('')
  expect(csvCell({ a: 1 })).toBe('"{""a"":1}"')
})

test('a text that a spreadsheet would run is defused, a negative number is not', () => {
  expect(csvCell('=HYPERLINK("http://x")')).toBe(`"'=HYPERLINK(""http://x"")"`)
  expect(csvCell('@x')).toBe("'@x")
  expect(csvCell('-12.5')).toBe('-12.5')
  expect(csvCell(-12.5)).toBe('-12.5')
})

test('a quote cannot end an SQL literal', () => {
  expect(sqlString("x' or '1'='1")).toBe("'x'' or ''1''=''1'")
  expect(sqlList(['a', "b'"])).toBe("('a', 'b''')")
  expect(sqlList([])).toBe('(null)')
})

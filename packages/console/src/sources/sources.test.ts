import { expect, test } from 'vitest'
import { parseOrigins } from './origins.ts'
import { browserSnippet, querySnippet } from './snippets.ts'

test('origins are read one a line or by comma, without a trailing slash, each once', () => {
  expect(parseOrigins('https://a.example/\nhttps://A.example, http://localhost:3000')).toEqual({
    ok: ['https://a.example', 'http://localhost:3000'],
  })
  expect(parseOrigins('  ')).toEqual({ ok: [] })
})

test('what is no origin is named', () => {
  for (const wrong of [
    'a.example',
    'https://a.example/path',
    'ftp://a.example',
    'https://u@a.example',
    '*',
  ]) {
    expect(parseOrigins(`https://fine.example ${wrong}`)).toEqual({ wrong })
  }
})

test('the tag names host and key, and a quote in SQL cannot end the shell string', () => {
  expect(browserSnippet('https://h', 'wk_1')).toBe(
    '<script async src="https://h/m.js" data-key="wk_1"></script>',
  )
  expect(querySnippet('https://h', "select 'x'")).toContain(`-d '{"sql":"select '\\''x'\\''"}'`)
})

/** Everything an event carries is hostile text: no source file may turn text into markup. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const SINKS =
  /innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|dangerouslySetInnerHTML|setHTML|createContextualFragment|DOMParser|\beval\(|new Function|javascript:/

const here = fileURLToPath(new URL('.', import.meta.url))

async function sources(): Promise<string[]> {
  const entries = await readdir(here, { recursive: true })
  return entries.filter((name) => /\.tsx?$/.test(name) && !name.endsWith('.test.ts'))
}

test('no source file holds a sink for markup or code', async () => {
  const names = await sources()
  expect(names.length).toBeGreaterThan(30)
  const found: string[] = []
  for (const name of names) {
    const text = await readFile(join(here, name), 'utf8')
    text.split('\n').forEach((line, place) => {
      if (SINKS.test(line)) found.push(`${name}:${place + 1}: ${line.trim()}`)
    })
  }
  expect(found).toEqual([])
})

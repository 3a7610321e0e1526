/** The built pages: small, without inline script or style, every file with its compressed twins. */
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildConsole } from '../build.mjs'

/** JS and CSS that a page asks for before it shows anything, brotli. */
const FIRST_LOAD_BYTES_MAX = 60 * 1_024

let outDir = ''
let built: Awaited<ReturnType<typeof buildConsole>>

beforeAll(async () => {
  outDir = await mkdtemp(join(tmpdir(), 'millrace-console-'))
  built = await buildConsole({ outDir })
})
afterAll(() => rm(outDir, { recursive: true, force: true }))

test('the first load of each page is at most 60 KiB', async () => {
  expect(built.pages).toHaveLength(2)
  for (const page of built.pages) {
    let bytes = 0
    for (const file of [...page.scripts, ...page.styles]) {
      bytes += (await stat(join(outDir, 'assets', `${file}.br`))).size
    }
    expect(bytes, page.file).toBeGreaterThan(5_000)
    expect(bytes, page.file).toBeLessThanOrEqual(FIRST_LOAD_BYTES_MAX)
  }
})

test('the pages hold no inline script, style or handler, and ask only for what was built', async () => {
  for (const { file } of built.pages) {
    const html = await readFile(join(outDir, file), 'utf8')
    expect(html).not.toMatch(/<style|style=|\son\w+=|<script(?![^>]*\ssrc=)/)
    const asked = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!)
    expect(asked.length).toBeGreaterThan(2)
    for (const path of asked) await stat(join(outDir, path))
  }
})

test('every asset has a hash in its name and both compressed twins', async () => {
  const names = await readdir(join(outDir, 'assets'))
  const plain = names.filter((name) => !/\.(br|gz)$/.test(name))
  expect(plain.length).toBeGreaterThan(4)
  for (const name of plain) {
    expect(name).toMatch(/-[A-Za-z0-9]{8}\.(js|css|svg)$/)
    expect(names).toContain(`${name}.br`)
    expect(names).toContain(`${name}.gz`)
  }
})

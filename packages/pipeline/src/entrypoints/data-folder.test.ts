import { randomBytes } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nodeFiles } from '../kit/files.ts'
import { openDataFolder } from './data-folder.ts'

let base: string
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'millrace-data-'))
})
afterEach(() => rmSync(base, { recursive: true }))

const open = (path: string, bucket?: string) =>
  openDataFolder(path, bucket, nodeFiles, { bytes: (count) => randomBytes(count) })
const marker = (text: string) => writeFileSync(join(base, 'millrace.json'), text)

describe('a new folder', () => {
  test('is made with those above it, for its owner alone, with a bucket of twelve letters', async () => {
    const path = join(base, 'a', 'b')
    const folder = await open(path)
    expect(folder.bucket).toMatch(/^millrace-[a-z]{12}$/)
    expect(statSync(path).mode & 0o777).toBe(0o700)
    await folder.release()
  })

  test('takes the bucket that is asked for', async () => {
    const folder = await open(base, 'acme-lake')
    expect(JSON.parse(readFileSync(join(base, 'millrace.json'), 'utf8'))).toEqual({
      format: 1,
      bucket: 'acme-lake',
    })
    await folder.release()
  })
})

describe('a folder that is there', () => {
  test('opens again as the same bucket, asked for or not', async () => {
    const first = await open(base)
    await first.release()
    for (const wanted of [undefined, first.bucket]) {
      const again = await open(base, wanted)
      expect(again.bucket).toBe(first.bucket)
      await again.release()
    }
  })

  test('is refused as another bucket, with both names', async () => {
    await (await open(base, 'acme-lake')).release()
    await expect(open(base, 'other-lake')).rejects.toMatchObject({
      code: 'bad_config',
      message: `${base} is bucket acme-lake, not other-lake`,
    })
    // The refusal let go of the lock.
    await (await open(base)).release()
  })

  test('belongs to one process at a time', async () => {
    const first = await open(base)
    await expect(open(base)).rejects.toMatchObject({ code: 'data_in_use' })
    await first.release()
  })

  test('of a later version is left alone', async () => {
    marker('{"format":2,"bucket":"b-b"}')
    await expect(open(base)).rejects.toMatchObject({
      code: 'data_newer',
      message: `${base} has format 2, this version knows 1`,
    })
    expect(readFileSync(join(base, 'millrace.json'), 'utf8')).toBe('{"format":2,"bucket":"b-b"}')
  })

  test.each([
    '',
    '{',
    'null',
    '[]',
    '7',
    '{"format":1}',
    '{"format":"1","bucket":"b"}',
    '{"format":0.5,"bucket":"b"}',
    '{"bucket":"b"}',
  ])('with the marker %j is damaged, and stays as it is', async (text) => {
    marker(text)
    await expect(open(base)).rejects.toMatchObject({ code: 'data_damaged' })
    expect(readFileSync(join(base, 'millrace.json'), 'utf8')).toBe(text)
  })

  test('with a log but without its marker is damaged: nothing starts anew over it', async () => {
    mkdirSync(join(base, 'log'))
    await expect(open(base)).rejects.toMatchObject({ code: 'data_damaged' })
    expect(existsSync(join(base, 'millrace.json'))).toBe(false)
  })
})

test('a path that is a file, or lies below one, cannot be used', async () => {
  const file = join(base, 'file')
  writeFileSync(file, '')
  for (const path of [file, join(file, 'below')])
    await expect(open(path)).rejects.toMatchObject({ code: 'data_unreadable' })
})

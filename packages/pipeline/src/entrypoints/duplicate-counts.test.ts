import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeFiles } from '../kit/files.ts'
import { openDuplicateCounts } from './duplicate-counts.ts'

let folder: string
let faults: unknown[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-duplicates-'))
  faults = []
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const open = (path = join(folder, 'duplicates.json')) =>
  openDuplicateCounts({ path, files: nodeFiles, onFault: (error) => faults.push(error) })

test('counts go on after a stop, for each tenant apart', async () => {
  const first = await open()
  first.add(1, 25)
  first.add(2, 3)
  first.add(1, 5)
  await first.stop()
  const second = await open()
  expect([second.get(1), second.get(2), second.get(3)]).toEqual([30, 3, 0])
  second.add(1, 1)
  await second.stop()
  expect(readFileSync(join(folder, 'duplicates.json'), 'utf8')).toBe('{"1":31,"2":3}\n')
  expect(faults).toEqual([])
})

test('nothing is written while nothing was counted', async () => {
  const counts = await open()
  await counts.save()
  await counts.stop()
  expect(readdirSync(folder)).toEqual([])
})

test('a file that is no JSON is a fault that is told, and counts begin at 0', async () => {
  writeFileSync(join(folder, 'duplicates.json'), '{"1":')
  const counts = await open()
  expect([counts.get(1), faults.length]).toEqual([0, 1])
  await counts.stop()
})

test('a count that could not be saved is saved the next time', async () => {
  const path = join(folder, 'missing', 'duplicates.json')
  const counts = await open(path)
  counts.add(1, 7)
  await counts.save()
  expect(faults).toHaveLength(1)
  await nodeFiles.makeFolder(join(folder, 'missing'))
  await counts.stop()
  expect(readFileSync(path, 'utf8')).toBe('{"1":7}\n')
})

import { expect, test } from 'vitest'
import { Restarts } from './commands/restarts.ts'

test('a disk that fails is tried three times within ten minutes, then a person must look', () => {
  const restarts = new Restarts()
  const minute = 60_000
  for (const at of [0, 1, 2]) expect(restarts.refusal(70, at * minute)).toBeUndefined()
  expect(restarts.refusal(70, 9 * minute)).toMatch(/^the disk failed 4 times within 10 minutes;/)
  const later = new Restarts()
  for (const at of [0, 1, 2, 10.1]) expect(later.refusal(70, at * minute)).toBeUndefined()
})

test('a server that is killed comes back, up to twenty times a minute', () => {
  const restarts = new Restarts()
  for (let turn = 0; turn < 20; turn++) expect(restarts.refusal(null, turn)).toBeUndefined()
  expect(restarts.refusal(null, 20)).toMatch(/again and again/)
  expect(restarts.refusal(null, 61_000)).toBeUndefined()
})

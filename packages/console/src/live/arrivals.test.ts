import { expect, test } from 'vitest'
import { parseArrival } from './arrivals.ts'

test('an arrival keeps hostile text as it is, and other types do not get through', () => {
  const json = JSON.stringify({
    receivedMs: 5,
    eventType: '<img onerror=x>',
    path: 7,
    target: null,
  })
  expect(parseArrival(json, false, 1)).toMatchObject({
    receivedMs: 5,
    eventType: '<img onerror=x>',
    path: '',
    target: '',
    rejected: false,
  })
})

test('what is no message is skipped', () => {
  for (const junk of ['', '{', 'null', '7', '"x"'])
    expect(parseArrival(junk, true, 1)).toBeUndefined()
})

import { expect, test } from 'vitest'
import { BatchMemory } from './batch-memory.ts'

const LOG_ID = '00112233445566778899aabbccddeeff'

test('what was added is found with its counts, what was not is not, across many doublings', () => {
  const memory = new BatchMemory(LOG_ID)
  for (let turn = 0; turn < 50_000; turn++) {
    const counts = { acceptedCount: turn % 65_536, rejectedCount: 65_535 }
    memory.add(memory.key(1 + (turn % 3), turn % 7, `id-${turn}`), counts, 0)
  }
  for (let turn = 0; turn < 50_000; turn++) {
    const found = memory.get(memory.key(1 + (turn % 3), turn % 7, `id-${turn}`))
    if (found?.acceptedCount !== turn % 65_536 || found.rejectedCount !== 65_535) {
      expect.fail(`id-${turn} is ${JSON.stringify(found)}`)
    }
    if (memory.get(memory.key(1 + (turn % 3), turn % 7, `no-${turn}`)) !== undefined) {
      expect.fail(`no-${turn} is there`)
    }
  }
})

test('at least the newest batches are known without a look into a file, and not all of them', () => {
  const memory = new BatchMemory(LOG_ID, 100)
  const keyOf = (turn: number) => memory.key(1, 1, `id-${turn}`)
  for (let turn = 0; turn < 1_000; turn++) {
    memory.add(keyOf(turn), { acceptedCount: 1, rejectedCount: 0 }, Math.floor(turn / 7))
    const from = Math.max(0, turn - 99)
    for (let one = from; one <= turn; one++) {
      if (memory.get(keyOf(one)) === undefined) expect.fail(`id-${one} is lost after ${turn}`)
    }
    const segment = Math.floor(from / 7)
    if (!memory.suspects(keyOf(from)).includes(segment)) expect.fail(`id-${from} is unsuspected`)
  }
  expect(memory.get(keyOf(700))).toBeUndefined()
  memory.forgetBelow(101)
  expect(memory.suspects(keyOf(700))).toEqual([])
  expect(memory.suspects(keyOf(707))).toEqual([101])
})

test('tenant, source, every character and the length count; so does the log', () => {
  const memory = new BatchMemory(LOG_ID)
  const other = new BatchMemory(`1${LOG_ID.slice(1)}`)
  const id = 'a'.repeat(40)
  const ids = Array.from(id, (_, at) => `${id.slice(0, at)}b${id.slice(at + 1)}`)
  const keys = [
    memory.key(1, 2, id),
    memory.key(2, 1, id),
    memory.key(1, 1, id),
    other.key(1, 2, id),
    memory.key(1, 2, ''),
    ...ids.map((changed) => memory.key(1, 2, changed)),
    // Zeros fill the last block: only the length tells these apart.
    ...[1, 2, 3, 8, 9].map((length) => memory.key(1, 2, '\0'.repeat(length))),
  ]
  expect(new Set(keys.map(({ a, b, c, d }) => `${a}/${b}/${c}/${d}`)).size).toBe(keys.length)
})

test('each of the 128 bits is set in about half of the keys of ids that count up', () => {
  const memory = new BatchMemory(LOG_ID)
  const ones = new Array<number>(128).fill(0)
  for (let turn = 0; turn < 4_000; turn++) {
    const { a, b, c, d } = memory.key(1, 1, `0190a1b2-7000-8000-9000-${turn}`)
    ;[a, b, c, d].forEach((word, place) => {
      for (let bit = 0; bit < 32; bit++) ones[place * 32 + bit]! += (word >>> bit) & 1
    })
  }
  // Six standard deviations of a fair coin thrown 4,000 times: 190.
  for (const count of ones) expect(Math.abs(count - 2_000)).toBeLessThan(190)
})

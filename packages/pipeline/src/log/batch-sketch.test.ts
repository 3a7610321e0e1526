import { expect, test } from 'vitest'
import { BatchMemory } from './batch-memory.ts'
import { BatchSketch } from './batch-sketch.ts'

const LOG_ID = '00112233445566778899aabbccddeeff'
const memory = new BatchMemory(LOG_ID)
const keyOf = (turn: number) => memory.key(1, 1, `0190a1b2-7000-8000-9000-${turn}`)
const BATCHES = 120_000
const PER_SEGMENT = 60

function filled(): BatchSketch {
  const sketch = new BatchSketch(1 << 14)
  for (let turn = 0; turn < BATCHES; turn++) sketch.add(keyOf(turn), Math.floor(turn / PER_SEGMENT))
  return sketch
}

test('every batch names its segment, and few others name any', () => {
  const sketch = filled()
  let wrong = 0
  for (let turn = 0; turn < BATCHES; turn++) {
    const found = sketch.suspects(keyOf(turn))
    if (!found.includes(Math.floor(turn / PER_SEGMENT))) expect.fail(`${turn} is lost: ${found}`)
    wrong += found.length - 1
    wrong += sketch.suspects(keyOf(-1 - turn)).length
  }
  // Twice as many questions, four tables, 8 of a million each: 8 are expected at most.
  expect(wrong).toBeLessThan(48)
})

test('a batch costs less than eleven bytes, and tables of dropped segments are given back', () => {
  const sketch = filled()
  const bytesBefore = sketch.bytes
  expect(bytesBefore / BATCHES).toBeLessThan(11)
  const middle = Math.floor(BATCHES / PER_SEGMENT / 2)
  sketch.forgetBelow(middle)
  expect(sketch.bytes).toBeLessThan(bytesBefore)
  for (let turn = middle * PER_SEGMENT; turn < BATCHES; turn++) {
    const found = sketch.suspects(keyOf(turn))
    if (!found.includes(Math.floor(turn / PER_SEGMENT))) expect.fail(`${turn} is lost: ${found}`)
  }
  sketch.forgetBelow(Number.MAX_SAFE_INTEGER)
  expect(sketch.bytes).toBe(0)
})

test('one batch a segment, more segments than a slot can name in one table', () => {
  const sketch = new BatchSketch(1 << 14)
  for (let turn = 0; turn < 10_000; turn++) sketch.add(keyOf(turn), 7 + turn)
  for (let turn = 0; turn < 10_000; turn++) {
    if (!sketch.suspects(keyOf(turn)).includes(7 + turn)) expect.fail(`${turn} is lost`)
  }
})

import { expect, test } from 'vitest'
import { KILL_WAIT_MS, type KillState, type Observation, observe } from './kill.ts'

const after = (...seen: Observation[]): KillState =>
  seen.reduce<KillState>(observe, { phase: 'idle' })
const asked: Observation = { kind: 'asked', nowMs: 0, pid: 7 }

test('silence is death, another process is the return, the time between is the downtime', () => {
  const dead: Observation = { kind: 'silence', nowMs: 200 }
  expect(after(asked, dead).phase).toBe('dead')
  const back: Observation = { kind: 'answer', nowMs: 1_500, pid: 8 }
  expect(after(asked, dead, { kind: 'silence', nowMs: 900 }, back)).toEqual({
    phase: 'back',
    atMs: 1_500,
    downtimeMs: 1_300,
    pid: 8,
    killedPid: 7,
  })
})

test('an answer of the old process is no return', () => {
  expect(after(asked, { kind: 'answer', nowMs: 100, pid: 7 }).phase).toBe('asked')
})

test('a restart between two looks is seen by the process id', () => {
  expect(after(asked, { kind: 'answer', nowMs: 400, pid: 8 })).toMatchObject({
    phase: 'back',
    downtimeMs: 400,
  })
})

test('a server that will not die, or refuses, is said so', () => {
  expect(after(asked, { kind: 'answer', nowMs: KILL_WAIT_MS + 1, pid: 7 }).phase).toBe('failed')
  expect(after(asked, { kind: 'refused', reason: 'no' })).toEqual({ phase: 'failed', reason: 'no' })
})

test('nothing is seen before the button', () => {
  expect(after({ kind: 'silence', nowMs: 1 }).phase).toBe('idle')
})

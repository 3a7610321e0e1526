import { describe, expect, test } from 'vitest'
import { GroupPace } from './group-pace.ts'

const GROUP_MS = 3
/** A disk that is free again after this, and senders whose answers take as long. */
const SYNC_MS = 0.5

/** The sizes of `count` groups when batches come at an even rate, whatever is answered. */
function openLoop(pace: GroupPace, perMs: number, count: number): number[] {
  const sizes: number[] = []
  let nowMs = 0
  let takenMs = 0
  while (sizes.length < count) {
    const gatheredAt = (ms: number) => Math.floor((ms - takenMs) * perMs)
    const endMs = nowMs + pace.waitMs(gatheredAt(nowMs), nowMs)
    while (nowMs < endMs && !pace.isEnough(gatheredAt(nowMs))) nowMs += 0.1
    const size = gatheredAt(nowMs)
    takenMs += size / perMs
    pace.begins(size, nowMs)
    sizes.push(size)
    nowMs += SYNC_MS
  }
  return sizes
}

/** How long `count` groups take of senders who all send again as soon as they are answered. */
function closedLoop(pace: GroupPace, senders: number, count: number): number {
  let nowMs = 0
  for (let group = 0; group < count; group++) {
    pace.begins(senders, nowMs)
    nowMs += SYNC_MS
    // None is back yet when the disk is free.
    const endMs = nowMs + pace.waitMs(0, nowMs)
    nowMs += SYNC_MS
    if (!pace.isEnough(senders)) nowMs = Math.max(nowMs, endMs)
  }
  return nowMs
}

const sum = (sizes: readonly number[]) => sizes.reduce((all, size) => all + size, 0)

describe('when a group begins', () => {
  test('a steady rate is gathered for up to groupMs', () => {
    const sizes = openLoop(new GroupPace(GROUP_MS), 20, 1_000)
    const settled = sizes.slice(100)
    expect(sum(settled) / settled.length).toBeGreaterThan(0.9 * GROUP_MS * 20)
    expect(Math.max(...settled)).toBeLessThanOrEqual(1.2 * GROUP_MS * 20)
  })

  test('senders who wait for their answers lose less than a tenth', () => {
    const free = closedLoop(new GroupPace(0), 16, 1_000)
    expect(closedLoop(new GroupPace(GROUP_MS), 16, 1_000)).toBeLessThan(1.1 * free)
  })

  test('when fewer senders are left, a group waits for the others only until they are counted', () => {
    const pace = new GroupPace(GROUP_MS)
    closedLoop(pace, 64, 200)
    closedLoop(pace, 16, 40)
    expect(closedLoop(pace, 16, 1_000)).toBeLessThan(1.1 * closedLoop(new GroupPace(0), 16, 1_000))
  })

  test('those who came while the disk was busy do not wait if they are all', () => {
    const pace = new GroupPace(GROUP_MS)
    closedLoop(pace, 16, 200)
    pace.begins(16, 0)
    expect(pace.waitMs(15, SYNC_MS)).toBe(GROUP_MS - SYNC_MS)
    expect(pace.waitMs(16, SYNC_MS)).toBe(0)
  })

  test('a few batches never wait', () => {
    const pace = new GroupPace(GROUP_MS)
    closedLoop(pace, 64, 200)
    pace.begins(7, 0)
    expect(pace.waitMs(0, 0)).toBe(0)
  })
})

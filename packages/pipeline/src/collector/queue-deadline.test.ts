import { describe, expect, test } from 'vitest'
import { type Appended, type BatchEntry, LogBusy, type LogWriter } from '../log/event-log.ts'
import { QUEUE_WAIT_MS_MAX, withDeadline } from './queue-deadline.ts'

const ENTRY = {} as BatchEntry
const DONE = { offset: 0 } as Appended

/** A log whose disk answers when the test says so, first come first served. */
function slowLog() {
  const waiters: { resolve: (appended: Appended) => void; reject: (error: Error) => void }[] = []
  const writer: LogWriter = {
    append: () => new Promise((resolve, reject) => waiters.push({ resolve, reject })),
    close: async () => {},
  }
  const time = { nowMs: 0 }
  const log = withDeadline(writer, () => time.nowMs)
  const settle = async (how: 'resolve' | 'reject') => {
    const waiter = waiters.shift()!
    if (how === 'resolve') waiter.resolve(DONE)
    else waiter.reject(new Error('the disk is full'))
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { log, time, waiters, settle }
}

const refused = (appending: Promise<Appended>) => expect(appending).rejects.toBeInstanceOf(LogBusy)

describe('a log whose oldest waiter is past the deadline', () => {
  test('takes nothing until that one is durable, and all that waits is kept', async () => {
    const { log, time, waiters, settle } = slowLog()
    const first = log.append(ENTRY)
    time.nowMs = QUEUE_WAIT_MS_MAX
    const second = log.append(ENTRY)
    expect(log.overdue()).toBe(false)
    time.nowMs = QUEUE_WAIT_MS_MAX + 1
    expect(log.overdue()).toBe(true)
    await refused(log.append(ENTRY))
    expect(waiters).toHaveLength(2)
    await settle('resolve')
    expect(log.overdue()).toBe(false)
    const third = log.append(ENTRY)
    await settle('resolve')
    await settle('resolve')
    expect(await Promise.all([first, second, third])).toEqual([DONE, DONE, DONE])
  })

  test('takes again after a failure, too', async () => {
    const { log, time, settle } = slowLog()
    const first = log.append(ENTRY)
    first.catch(() => {})
    time.nowMs = 10_000
    await refused(log.append(ENTRY))
    await settle('reject')
    await expect(first).rejects.toThrow('full')
    expect(log.overdue()).toBe(false)
  })

  test('stays shut while the next in the queue is as late', async () => {
    const { log, time, settle } = slowLog()
    void log.append(ENTRY)
    time.nowMs = 500
    void log.append(ENTRY)
    time.nowMs = 5_000
    await settle('resolve')
    await refused(log.append(ENTRY))
    await settle('resolve')
    expect(log.overdue()).toBe(false)
  })

  test('one that refuses for its bytes is shut until something is durable', async () => {
    const { log, waiters, settle } = slowLog()
    void log.append(ENTRY)
    const second = log.append(ENTRY)
    waiters.pop()!.reject(new LogBusy('33554432 bytes wait'))
    await refused(second)
    expect(log.overdue()).toBe(true)
    await settle('resolve')
    expect(log.overdue()).toBe(false)
  })

  test('a busy log that answers in time never refuses', async () => {
    const { log, time, settle } = slowLog()
    for (let round = 0; round < 500; round++) {
      void log.append(ENTRY)
      time.nowMs += 10
      if (round >= 100) await settle('resolve')
      expect(log.overdue()).toBe(false)
    }
  })
})

import { describe, expect, test, vi } from 'vitest'
import { MillraceError } from '../kit/errors.ts'
import type { Pending } from '../log/event-log.ts'
import type { ReadPlan } from '../log/read-plan.ts'
import {
  type DeliveryJob,
  type DeliveryResult,
  type DeliveryWorker,
  JobFailure,
} from './delivery-job.ts'
import { FLUSH_BYTES } from './flush-policy.ts'
import { DeliveryScheduler } from './scheduler.ts'

const MIB = 1_048_576
const NOW = 1_000_000_000

interface FakeRecord {
  readonly offset: number
  readonly bytes: number
  readonly receivedMs: number
}

/** A log and a lake in memory, a clock to move, and a worker that does what a test says. */
function world(behaviour: (job: DeliveryJob) => DeliveryResult | Promise<DeliveryResult>) {
  const records = new Map<number, FakeRecord[]>()
  const lake = new Map<string, number>()
  const jobs: DeliveryJob[] = []
  const committed: [number, number][] = []
  const faults: [number, string][] = []
  const inspected: number[] = []
  let nowMs = NOW
  let end = 0
  let stopCount = 0
  const from = (tenantNo: number, offset: number) =>
    (records.get(tenantNo) ?? []).filter((record) => record.offset >= offset)
  const reader = {
    logId: 'log',
    end: () => end,
    tenants: () => [...records.keys()],
    pending(tenantNo: number, fromOffset: number): Pending {
      const waiting = from(tenantNo, fromOffset)
      return {
        bytes: waiting.reduce((sum, record) => sum + record.bytes, 0),
        recordCount: waiting.length,
        eventCount: waiting.length,
        oldestReceivedMs: waiting[0]?.receivedMs ?? null,
        nextOffset: (waiting.at(-1)?.offset ?? fromOffset - 1) + 1,
      }
    },
    plan(tenantNo: number, fromOffset: number, bytesMax: number) {
      const taken: FakeRecord[] = []
      let bytes = 0
      for (const record of from(tenantNo, fromOffset)) {
        if (taken.length > 0 && bytes + record.bytes > bytesMax) break
        taken.push(record)
        bytes += record.bytes
      }
      if (taken.length === 0) return undefined
      const nextOffset = taken.at(-1)!.offset + 1
      const counts = { bytes, recordCount: taken.length, eventCount: taken.length }
      const damage = { skippedEventCount: inspected.length, skippedRecordCount: inspected.length }
      const firstOffset = taken[0]!.offset
      const pieces = [{ segment: 4, firstOffset } as ReadPlan['pieces'][number]]
      return { logId: 'log', tenantNo, fromOffset, pieces, nextOffset, ...counts, ...damage }
    },
    inspect: async (segment: number) => void inspected.push(segment),
    commit: (tenantNo: number, offset: number) => void committed.push([tenantNo, offset]),
  }
  const worker: DeliveryWorker = {
    deliver: async (job) => {
      jobs.push(job)
      return behaviour(job)
    },
    stop: async () => void stopCount++,
  }
  const scheduler = new DeliveryScheduler({
    reader,
    worker,
    tenant: (tenantNo) => (tenantNo === 99 ? undefined : { tenantId: `t${tenantNo}`, sources: [] }),
    deliveredOffset: async (tenantId) => lake.get(tenantId) ?? 0,
    clock: { now: () => nowMs },
    random: { bytes: (count) => new Uint8Array(count) },
    onFault: (tenantNo, error) => faults.push([tenantNo, (error as Error).message]),
  })
  return {
    scheduler,
    jobs,
    committed,
    faults,
    inspected,
    lake,
    stopCount: () => stopCount,
    /** Time goes by while a job is done. */
    pass: (ms: number) => {
      nowMs += ms
    },
    wait: (ms: number) => {
      nowMs += ms
      return scheduler.tick()
    },
    append(tenantNo: number, bytes: number, receivedMs = nowMs) {
      const list = records.get(tenantNo) ?? []
      records.set(tenantNo, list)
      list.push({ offset: end++, bytes, receivedMs })
    },
  }
}

function delivered({ plan, trial }: DeliveryJob): DeliveryResult {
  if (trial !== undefined) return { status: 'tried' }
  const { nextOffset, recordCount, eventCount, bytes } = plan
  const counts = {
    recordCount,
    eventCount,
    rowCount: eventCount,
    duplicateCount: 0,
    undeliverableCount: 0,
    logBytes: bytes,
    lakeBytes: 1,
  }
  return { status: 'delivered', nextOffset, ...counts }
}

describe('the scheduler', () => {
  test('leaves young records alone and delivers them when they are due', async () => {
    const { scheduler, jobs, committed, append, wait } = world(delivered)
    append(1, MIB)
    await scheduler.tick()
    expect([jobs.length, scheduler.progress(1)]).toEqual([0, 0])
    await wait(60_000)
    expect(jobs.map((job) => [job.tenantId, job.plan.nextOffset])).toEqual([['t1', 1]])
    expect(scheduler.progress(1)).toBe(1)
    expect(committed).toEqual([
      [1, 0],
      [1, 1],
    ])
    await wait(60_000)
    expect(jobs).toHaveLength(1)
  })

  test('takes a backlog in jobs of bounded size until it is done', async () => {
    const { scheduler, jobs, append } = world(delivered)
    for (let record = 0; record < 5; record++) append(1, 40 * MIB, NOW - 7 * 3_600_000)
    await scheduler.tick()
    expect(jobs.map((job) => job.plan.bytes <= FLUSH_BYTES)).toEqual(Array(5).fill(true))
    expect(scheduler.progress(1)).toBe(5)
  })

  test('looks more often after a full flush, and for a while only', async () => {
    vi.useFakeTimers()
    const { scheduler, jobs, append, pass } = world(delivered)
    const goOn = async (ms: number) => {
      pass(ms)
      await vi.advanceTimersByTimeAsync(ms)
    }
    scheduler.start()
    await goOn(0)
    append(1, 64 * MIB)
    await goOn(900)
    expect(jobs).toHaveLength(0)
    await goOn(100)
    expect(jobs).toHaveLength(1)
    for (const count of [2, 3]) {
      append(1, 64 * MIB)
      await goOn(250)
      expect(jobs).toHaveLength(count)
    }
    // None of these looks finds anything.
    for (let quarter = 0; quarter < 50; quarter++) await goOn(250)
    append(1, 64 * MIB)
    let waitedMs = 0
    for (; jobs.length < 4; waitedMs += 50) await goOn(50)
    expect(waitedMs).toBeGreaterThan(250)
    await scheduler.stop()
    vi.useRealTimers()
  })

  test('begins where the lake stands', async () => {
    const { scheduler, jobs, lake, append } = world(delivered)
    lake.set('t1', 2)
    for (let record = 0; record < 3; record++) append(1, 64 * MIB)
    await scheduler.tick()
    expect(jobs.map((job) => job.plan.fromOffset)).toEqual([2])
  })

  test('goes on from where the worker found the table', async () => {
    const moved: DeliveryResult = { status: 'moved', nextOffset: 2 }
    const { scheduler, jobs, append } = world((job) =>
      job.plan.fromOffset < 2 ? moved : delivered(job),
    )
    for (let record = 0; record < 3; record++) append(1, 64 * MIB)
    await scheduler.tick()
    expect(jobs.map((job) => job.plan.fromOffset)).toEqual([0, 2])
    expect(scheduler.progress(1)).toBe(3)
  })

  test('a worker that finds the table moved to the same place is a failure, not a loop', async () => {
    const { scheduler, jobs, faults, append } = world(({ plan }) => {
      return { status: 'moved', nextOffset: plan.fromOffset }
    })
    append(1, 64 * MIB)
    await scheduler.tick()
    expect([jobs.length, faults.length]).toEqual([1, 1])
  })

  test('waits longer after each failure, while other tenants are served', async () => {
    let broken = true
    const { jobs, faults, append, wait, scheduler } = world((job) => {
      if (broken && job.tenantId === 't1') throw new Error('no')
      return delivered(job)
    })
    append(1, 64 * MIB)
    append(2, 64 * MIB)
    const ofFirst = () => jobs.filter((job) => job.tenantId === 't1').length
    const tries: number[] = []
    for (let second = 0; second <= 16; second++) {
      await wait(second === 0 ? 0 : 1_000)
      tries.push(ofFirst())
    }
    expect(tries).toEqual([1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5])
    expect(faults.every(([tenantNo]) => tenantNo === 1)).toBe(true)
    expect(scheduler.progress(2)).toBe(2)
    for (let round = 0; round < 12; round++) await wait(300_000)
    const before = ofFirst()
    await wait(300_000)
    expect(ofFirst()).toBe(before + 1)
    broken = false
    await wait(300_000)
    expect(scheduler.progress(1)).toBe(1)
  })

  test('a lake ahead of its log is an alarm, and nothing is delivered', async () => {
    const { scheduler, jobs, faults, lake, append } = world(delivered)
    lake.set('t1', 9)
    append(1, 64 * MIB)
    await scheduler.tick()
    expect(jobs).toEqual([])
    expect(faults[0]![1]).toContain('up to offset 9, the log ends at 1')
  })

  test('a tenant that nobody knows harms no other', async () => {
    const { scheduler, faults, append } = world(delivered)
    append(99, 64 * MIB)
    append(1, 64 * MIB)
    await scheduler.tick()
    expect(faults.map(([tenantNo]) => tenantNo)).toEqual([99])
    expect(scheduler.progress(1)).toBe(2)
  })
})

describe('flush', () => {
  test('delivers at once what is durable, of one tenant or of all', async () => {
    const { scheduler, jobs, append } = world(delivered)
    append(1, 1)
    append(2, 1)
    await scheduler.flush(2)
    expect(jobs.map((job) => job.tenantId)).toEqual(['t2'])
    await scheduler.flush()
    expect([scheduler.progress(1), scheduler.progress(2)]).toEqual([1, 2])
  })

  test('resolves when there is nothing to do', async () => {
    const { scheduler, append } = world(delivered)
    await scheduler.flush()
    await scheduler.flush(7)
    append(1, 1)
    await scheduler.flush(1)
    await scheduler.flush(1)
    expect(scheduler.progress(1)).toBe(1)
  })

  test('during a run of another tenant is done after it', async () => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const { scheduler, append } = world(async (job) => {
      if (job.tenantId === 't1') await held
      return delivered(job)
    })
    append(1, 64 * MIB)
    const running = scheduler.tick()
    append(2, 1)
    const flushed = scheduler.flush(2)
    release()
    await Promise.all([running, flushed])
    expect(scheduler.progress(2)).toBe(2)
  })

  test('rejects when the job fails, and ignores an earlier wait', async () => {
    let broken = true
    const { scheduler, append } = world((job) => {
      if (broken) throw new Error('no')
      return delivered(job)
    })
    append(1, 1)
    await expect(scheduler.flush(1)).rejects.toThrow('no')
    broken = false
    await scheduler.flush(1)
    expect(scheduler.progress(1)).toBe(1)
  })

  test('is refused after stop, which ends the worker', async () => {
    const { scheduler, append, stopCount, jobs } = world(delivered)
    append(1, 64 * MIB)
    await scheduler.stop()
    await expect(scheduler.flush(1)).rejects.toThrow('stopped')
    await scheduler.tick()
    expect([stopCount(), jobs.length]).toEqual([1, 0])
  })
})

describe('what a job fails on by its own doing', () => {
  /** Fails on one record unless its events are left out. */
  const poisoned = (offset: number) => (job: DeliveryJob) => {
    const { plan, trial, leaveOut } = job
    const isIn = plan.fromOffset <= offset && offset < plan.nextOffset
    const isOut = leaveOut?.offset === offset && leaveOut.ranges.some(([from, to]) => from < to)
    if (isIn && !isOut && trial !== 'control' && job.tenantId === 't1') throw new JobFailure('boom')
    return delivered(job)
  }

  test('is given up after three failures, alone, and the wait for the rest is short', async () => {
    const { scheduler, jobs, faults, append, wait } = world(poisoned(77))
    for (let record = 0; record < 100; record++) append(1, MIB / 2, NOW - 7 * 3_600_000)
    await scheduler.tick()
    await wait(1_000)
    expect([jobs.length, scheduler.progress(1)]).toEqual([2, 0])
    await wait(2_000)
    expect(scheduler.progress(1)).toBe(100)
    expect(faults.map(([, message]) => message)).toEqual(['boom', 'boom', 'boom'])
    const given = jobs.filter(
      ({ trial, leaveOut }) => trial === undefined && leaveOut !== undefined,
    )
    expect(given.map(({ leaveOut }) => leaveOut)).toEqual([
      { offset: 77, how: 'events', ranges: [[0, 1]], detail: 'boom' },
    ])
    expect(jobs.length).toBeLessThan(30)
  })

  test('holds no other tenant up: each second job is for them', async () => {
    const { scheduler, jobs, append, wait, pass } = world((job) => {
      // Long enough for all tenants to be looked at anew before each job.
      pass(job.leaveOut === undefined ? 2_000 : 0)
      return poisoned(40)(job)
    })
    for (let record = 0; record < 64; record++) append(1, MIB, NOW - 7 * 3_600_000)
    await scheduler.tick()
    await wait(1_000)
    for (let tenantNo = 2; tenantNo <= 6; tenantNo++) append(tenantNo, 64 * MIB)
    const before = jobs.length
    await wait(2_000)
    const turns = jobs.slice(before).map((job) => (job.tenantId === 't1' ? 'hunt' : 'other'))
    expect(turns.lastIndexOf('other')).toBeLessThanOrEqual(11)
    expect(scheduler.progress(1)).toBe(64)
  })

  test('is not looked for while the store or the disk fails, however often', async () => {
    const { jobs, append, wait, scheduler } = world(() => {
      throw new MillraceError('disk_full', 'no room')
    })
    append(1, 64 * MIB)
    for (let round = 0; round < 20; round++) await wait(300_000)
    expect(jobs.length).toBe(20)
    expect(jobs.every(({ leaveOut, trial }) => leaveOut === undefined && trial === undefined)).toBe(
      true,
    )
    expect(scheduler.progress(1)).toBe(0)
  })

  test('is not given up while the engine fails on a good record as well', async () => {
    const { jobs, append, wait, scheduler } = world(() => {
      throw new JobFailure('no engine')
    })
    append(1, 64 * MIB)
    append(1, 64 * MIB)
    for (let round = 0; round < 30; round++) await wait(300_000)
    expect(jobs.some(({ trial }) => trial === 'control')).toBe(true)
    expect(jobs.filter(({ leaveOut }) => leaveOut !== undefined)).toEqual([])
    expect(jobs.length).toBeLessThan(100)
    expect(scheduler.progress(1)).toBe(0)
  })

  test('that is over by itself is forgotten', async () => {
    let failures = 3
    const { jobs, append, wait, scheduler } = world((job) => {
      if (failures-- > 0) throw new JobFailure('killed by hand')
      return delivered(job)
    })
    append(1, 64 * MIB)
    for (const ms of [0, 1_000, 2_000]) await wait(ms)
    expect(scheduler.progress(1)).toBe(1)
    expect(jobs.every(({ leaveOut, trial }) => leaveOut === undefined || trial !== undefined)).toBe(
      true,
    )
  })
})

test('damage in the log is looked at once, and the job planned anew without a wait', async () => {
  const { scheduler, jobs, inspected, append } = world((job) => {
    if (job.plan.skippedEventCount === 0) throw new MillraceError('data_damaged', 'a flipped bit')
    return delivered(job)
  })
  append(1, 64 * MIB)
  await scheduler.tick()
  expect(inspected).toEqual([4])
  expect(jobs.map(({ plan }) => plan.skippedEventCount)).toEqual([0, 1])
  expect(scheduler.progress(1)).toBe(1)
})

describe('the standing', () => {
  test('lag is the age of what waits; nobody is overdue before the policy asks', async () => {
    const { scheduler, append, wait } = world(delivered)
    append(1, 10, NOW - 1_000)
    append(2, 20, NOW - 5_000)
    await wait(0)
    expect(scheduler.standing()).toEqual({
      pendingBytes: 30,
      counts: { failures: 0, delivered: 0, undeliverable: 0, suppressed: 0 },
      laggards: [
        { tenantNo: 2, lagMs: 5_000, overdueMs: 0, error: undefined, bytes: 20 },
        { tenantNo: 1, lagMs: 1_000, overdueMs: 0, error: undefined, bytes: 10 },
      ],
      mostOverdue: undefined,
    })
  })

  test('a tenant that fails is overdue since it was due, and no longer once a job went well', async () => {
    let broken = true
    const { scheduler, append, wait } = world((job) => {
      if (broken) throw new Error('EIO')
      return delivered(job)
    })
    append(1, 64 * MIB)
    await wait(0)
    for (let minute = 0; minute < 16; minute++) await wait(60_000)
    expect(scheduler.standing().mostOverdue).toMatchObject({
      tenantNo: 1,
      overdueMs: 16 * 60_000,
      error: 'EIO',
    })
    broken = false
    await wait(300_000)
    expect(scheduler.standing()).toMatchObject({
      pendingBytes: 0,
      mostOverdue: undefined,
      counts: { failures: expect.any(Number), delivered: 1, undeliverable: 0, suppressed: 0 },
    })
    expect(scheduler.standing().counts.failures).toBeGreaterThan(3)
  })

  test('a backlog that shrinks is behind, and not overdue', async () => {
    let broken = true
    const { scheduler, append, wait } = world((job) => {
      if (broken || job.plan.fromOffset > 0) throw new Error('EIO')
      return delivered(job)
    })
    append(1, 64 * MIB)
    append(1, 64 * MIB)
    for (let minute = 0; minute < 16; minute++) await wait(60_000)
    broken = false
    await wait(300_000)
    expect(scheduler.progress(1)).toBe(1)
    const { mostOverdue, laggards } = scheduler.standing()
    expect([mostOverdue, laggards[0]!.lagMs]).toEqual([undefined, 21 * 60_000])
  })

  test('names the twenty that wait longest', async () => {
    const { scheduler, append, wait } = world(delivered)
    for (let tenantNo = 1; tenantNo <= 30; tenantNo++) append(tenantNo, 1, NOW - tenantNo)
    await wait(0)
    const { laggards } = scheduler.standing()
    expect(laggards.map(({ tenantNo }) => tenantNo)).toEqual(
      Array.from({ length: 20 }, (_, each) => 30 - each),
    )
  })
})

/**
 * A log around a log that refuses while one waits too long.
 *
 * What is appended cannot be taken back, so nobody is promised an answer within the deadline; but while
 * the oldest waiter is past it the disk does not keep up, and a batch that joined the queue would wait
 * as long. It is refused at once instead, and its sender comes again. The first append that becomes
 * durable opens the log again. A log that has refused one for its bytes is shut in the same way, so that
 * what comes next is not read and checked in vain.
 *
 * Waiters are counted by the slot of time in which they came: the log answers them in about their
 * order, and a slot is precise enough for a deadline of seconds.
 */
import { LogBusy, type LogWriter } from '../log/event-log.ts'

/** Twice what a group may take on a slow disk before a sender is better off elsewhere. */
export const QUEUE_WAIT_MS_MAX = 2_000
const SLOT_MS = 50

interface Slot {
  readonly startedMs: number
  waiting: number
}

export interface DeadlineLog extends LogWriter {
  /** An append would be refused now. */
  overdue(): boolean
}

export function withDeadline(log: LogWriter, elapsed: () => number): DeadlineLog {
  /** Ascending; the first has waiters. At most a deadline's worth of slots, and those of one stall. */
  const slots: Slot[] = []
  const isOverdue = (nowMs: number) =>
    slots[0] !== undefined && nowMs - slots[0].startedMs > QUEUE_WAIT_MS_MAX
  /** Since it refused, nothing has become durable. */
  let isFull = false
  const ended = (slot: Slot, error?: unknown) => {
    isFull = error instanceof LogBusy
    slot.waiting--
    while (slots[0]?.waiting === 0) slots.shift()
  }
  return {
    append: (entry) => {
      const nowMs = elapsed()
      if (isOverdue(nowMs)) {
        return Promise.reject(new LogBusy(`the disk takes more than ${QUEUE_WAIT_MS_MAX} ms`))
      }
      let slot = slots.at(-1)
      if (slot === undefined || nowMs - slot.startedMs >= SLOT_MS) {
        slot = { startedMs: nowMs, waiting: 0 }
        slots.push(slot)
      }
      slot.waiting++
      const mine = slot
      const appending = log.append(entry)
      // Not waited for, and a rejection is for the one who asked.
      appending.then(
        () => ended(mine),
        (error) => ended(mine, error),
      )
      return appending
    },
    overdue: () => slots.length > 0 && (isFull || isOverdue(elapsed())),
    close: () => log.close(),
  }
}

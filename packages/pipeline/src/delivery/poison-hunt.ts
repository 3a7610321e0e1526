/**
 * Finds what delivery fails on, so that it alone is given up: a range of records is halved until one
 * record is left, then the record's events are tried in halves until the ones are known that fail. They
 * become rows of `rejections`, and delivery goes on.
 *
 * Only decides: the scheduler gives the jobs and tells what came of them. Halves of the range are
 * delivered as they are found good; halves of a record are trials that change nothing, because a
 * record is delivered once, with all that is good of it. Before any event is given up, the engine must
 * have made rows of a record that is known to be good: an engine that cannot do anything would else
 * empty the log into the rejections.
 *
 * Bounded: a range of n bytes takes log2(n) jobs, a record with one bad event among n
 * 2 log2(n) + 3.
 */
import type { ReadPlan } from '../log/read-plan.ts'
import type { DeliveryJob, LeftOut } from './delivery-job.ts'

/** Trials of one record. Where they do not suffice, what is left of it is given up unsplit. */
const TRIALS_MAX = 256

/** What to do next: a job of at most so many bytes. */
export type Attempt = { readonly bytesMax: number } & Pick<DeliveryJob, 'leaveOut' | 'trial'>

type Range = readonly [from: number, to: number]
type Planned = Pick<ReadPlan, 'bytes' | 'recordCount' | 'eventCount' | 'nextOffset' | 'pieces'>

/** One record under suspicion. */
interface Suspect {
  readonly offset: number
  readonly eventCount: number
  stage: 'control' | 'search' | 'events' | 'record' | 'bare'
  readonly untried: Range[]
  readonly bad: Range[]
  trialCount: number
  /** The last failure seen. */
  detail: string
}

export class PoisonHunt {
  /** Bytes from where delivery stands up to `#upTo`, among which something fails. */
  #bytes: number
  #upTo: number
  #suspect: Suspect | undefined

  /** Of the job that failed. */
  constructor(plan: Planned, detail: string) {
    this.#bytes = plan.bytes
    this.#upTo = plan.nextOffset
    this.#narrow(plan, detail)
  }

  next(): Attempt {
    const suspect = this.#suspect
    if (suspect === undefined) return { bytesMax: Math.max(1, Math.floor(this.#bytes / 2)) }
    const { offset, stage, detail, bad, untried, eventCount } = suspect
    if (stage === 'control') return { bytesMax: 1, trial: 'control' }
    if (stage !== 'search') {
      return { bytesMax: 1, leaveOut: { offset, how: stage, ranges: bad, detail } }
    }
    const [from, to] = untried.at(-1)!
    const sides: Range[] = [
      [0, from],
      [to, eventCount],
    ]
    const ranges = sides.filter(([low, high]) => low < high)
    const leaveOut: LeftOut = { offset, how: 'events', ranges, detail }
    return { bytesMax: 1, trial: 'record', leaveOut }
  }

  /** What was last asked for went well. True: the hunt is over, and nothing fails any more. */
  succeeded(plan: Planned): boolean {
    const suspect = this.#suspect
    if (suspect?.stage === 'control') {
      suspect.stage = suspect.untried.length > 0 ? 'search' : 'record'
      return false
    }
    if (suspect?.stage === 'search') {
      suspect.untried.pop()
      // It failed with its neighbours and does not fail now: whoever is left is not to blame.
      if (suspect.trialCount++ === 0) return true
      this.#afterTrial(suspect)
      return false
    }
    this.#suspect = undefined
    this.#bytes -= plan.bytes
    return plan.nextOffset >= this.#upTo || this.#bytes <= 0
  }

  /** … failed by its own doing. False: there is nothing more to try. */
  failed(plan: Planned, detail: string): boolean {
    const suspect = this.#suspect
    if (suspect === undefined) {
      this.#narrow(plan, detail)
      return true
    }
    if (suspect.stage === 'control' || suspect.stage === 'bare') return false
    suspect.detail = detail
    if (suspect.stage === 'search') {
      suspect.trialCount++
      this.#split(suspect)
      this.#afterTrial(suspect)
    } else suspect.stage = suspect.stage === 'events' ? 'record' : 'bare'
    return true
  }

  #narrow(plan: Planned, detail: string): void {
    this.#bytes = plan.bytes
    this.#upTo = plan.nextOffset
    if (plan.recordCount !== 1) return
    const { eventCount, nextOffset } = plan
    this.#suspect = {
      offset: plan.pieces[0]?.firstOffset ?? nextOffset - 1,
      eventCount,
      stage: 'control',
      untried: eventCount > 0 ? [[0, eventCount]] : [],
      bad: [],
      trialCount: 0,
      detail,
    }
  }

  #split(suspect: Suspect): void {
    const range = suspect.untried.pop()!
    const [from, to] = range
    if (to - from === 1 || suspect.trialCount + suspect.untried.length >= TRIALS_MAX) {
      suspect.bad.push(range)
      return
    }
    const middle = (from + to) >>> 1
    suspect.untried.push([middle, to], [from, middle])
  }

  #afterTrial(suspect: Suspect): void {
    if (suspect.untried.length > 0) return
    // Each half is good and both together are not: all of them go.
    if (suspect.bad.length === 0) suspect.bad.push([0, suspect.eventCount])
    suspect.stage = 'events'
  }
}

/**
 * One job of delivery, and what came of it: plain JSON, for it crosses to another process.
 */
import type { ReadPlan } from '../log/read-plan.ts'

export interface DeliveryJob {
  /** Namespace of the tenant's tables. */
  readonly tenantId: string
  /** Its records from the offset where `events` stands; made by the process that writes the log. */
  readonly plan: ReadPlan
  readonly sources: readonly { readonly sourceNo: number; readonly name: string }[]
  /** Events of one record that become rows of `rejections`: see poison-hunt.ts. */
  readonly leaveOut?: LeftOut
  /**
   * Makes the rows and throws them away: `record` those of the plan, `control` those of a record that
   * is known to be good, which shows whether the engine works at all.
   */
  readonly trial?: 'record' | 'control'
  /** The longest that the job may take; default: the worker's own limit. */
  readonly msMax?: number
}

export interface LeftOut {
  readonly offset: number
  /**
   * `events`: those at `ranges`, one row each. `record`: the whole record becomes one row. `bare`: the
   * same without its text.
   */
  readonly how: 'events' | 'record' | 'bare'
  /** Places in the record's list of events, [from, to). */
  readonly ranges: readonly (readonly [number, number])[]
  /** Why; what the rows say as `detail`. */
  readonly detail: string
}

export type DeliveryResult =
  | {
      readonly status: 'delivered'
      /** `events` stands here now. */
      readonly nextOffset: number
      readonly recordCount: number
      /** Accepted events of the records; those left out included. */
      readonly eventCount: number
      /** In `events`. */
      readonly rowCount: number
      readonly duplicateCount: number
      /** Events that became rows of `rejections`, and damaged ones that the plan passes over. */
      readonly undeliverableCount: number
      readonly logBytes: number
      readonly lakeBytes: number
    }
  | {
      /** The table does not stand where the plan begins: nothing was changed; plan from here. */
      readonly status: 'moved'
      readonly nextOffset: number
    }
  | {
      /** A trial went well; nothing was changed. */
      readonly status: 'tried'
    }

export interface DeliveryWorker {
  /**
   * Does one job; jobs are done one at a time, in the order given. Rejects when it could not be done
   * or nobody knows whether it was: the same job may be given again, and no row is written twice.
   * With JobFailure when it is the job's own doing, as far as can be told.
   */
  deliver(job: DeliveryJob): Promise<DeliveryResult>
  /** Lets the job under way end, for a bounded time. Idempotent; later jobs are refused. */
  stop(): Promise<void>
}

/**
 * The job's own failure: the process died of it, the engine failed on its lines, it took too long. Not
 * the store's or the disk's, which pass.
 */
export class JobFailure extends Error {
  override readonly name = 'JobFailure'
}

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
}

export type DeliveryResult =
  | {
      readonly status: 'delivered'
      /** `events` stands here now. */
      readonly nextOffset: number
      readonly recordCount: number
      /** Accepted events of the records; those left out as duplicates included. */
      readonly eventCount: number
      readonly duplicateCount: number
      readonly logBytes: number
      readonly lakeBytes: number
    }
  | {
      /** The table does not stand where the plan begins: nothing was changed; plan from here. */
      readonly status: 'moved'
      readonly nextOffset: number
    }

export interface DeliveryWorker {
  /**
   * Does one job; jobs are done one at a time, in the order given. Rejects when it could not be done
   * or nobody knows whether it was: the same job may be given again, and no row is written twice.
   */
  deliver(job: DeliveryJob): Promise<DeliveryResult>
  /** Lets the job under way end, for a bounded time. Idempotent; later jobs are refused. */
  stop(): Promise<void>
}

/** What the server and a query process say to each other; both come from the same build. */
import type { QueryJob } from '../../query/query-engine.ts'
import type { Outcome } from './query-execute.ts'
import type { SandboxLimits } from './query-sandbox.ts'

export interface RunMessage {
  readonly kind: 'run'
  readonly job: QueryJob
  readonly limits: SandboxLimits & { readonly bodyBytesMax: number }
}

/** Stop what runs; the answer still comes. */
export interface InterruptMessage {
  readonly kind: 'interrupt'
}

export type ToWorker = RunMessage | InterruptMessage

export type FromWorker =
  | { readonly kind: 'done'; readonly outcome: Outcome }
  /** Not the statement's fault: `message` is for the log. */
  | { readonly kind: 'fault'; readonly message: string }

/** The tenant's account as the server keeps it, and how long each stage takes at the moment. */
import { type Request, request } from './request.ts'

interface Flow {
  readonly acceptMs: number | null
  readonly syncMs: number | null
  readonly queryMs: number | null
}

export interface Ledger {
  readonly received: number
  readonly accepted: number
  readonly rejected: number
  readonly duplicate: number
  readonly delivered: number
  readonly pending: number
  readonly undeliverable: number
  readonly suppressed: number
  /** Age of the oldest event that is not in the lake. */
  readonly lagMs: number | null
  readonly flow: Flow
}

export const readLedger = (options: Request = {}): Promise<Ledger> =>
  request<Ledger>('/v1/ledger', options)

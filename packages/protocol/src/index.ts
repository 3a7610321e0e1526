/** The published face of the wire contract: every name that others may import, one by one. */
export { type Acknowledgement, BATCH_ID_PATTERN, Batch, Envelope } from './batch.ts'
export { Consent, DATA_COLUMNS, type DataKey, EVENT_TYPES, Event, PURPOSES } from './event.ts'
export * as limits from './limits.ts'
export { Packed, type UnpackedEvent, unpackEvents } from './packed.ts'
export {
  PROBLEMS,
  type Problem,
  type ProblemCode,
  problem,
  REJECTIONS,
  type Rejection,
  type RejectionCode,
} from './problem.ts'
export { daysInMonth, parseTimestamp } from './timestamp.ts'

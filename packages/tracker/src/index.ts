/** The published face of `@millrace/tracker` for bundlers: every name, one by one. */
export type { Consent } from './limits.ts'
export { createTracker, type Options, type Stats, type Tracker } from './tracker.ts'

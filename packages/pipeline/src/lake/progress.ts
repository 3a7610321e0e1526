/**
 * How far a table has taken up a log: kept in the summary of the snapshot that took it up, so that
 * rows and progress become visible in one step.
 *
 * Another engine's snapshot carries none, so progress is the nearest ancestor's. Where the
 * ancestors are gone before one is found, nobody knows which rows are in the table, and that is an
 * error: to begin at 0 would write every row twice.
 */
import { MillraceError } from '../kit/errors.ts'
import {
  currentSnapshot,
  type Snapshot,
  snapshotById,
  type TableMetadata,
} from './iceberg/metadata.ts'

export interface Progress {
  /** 32 hex digits: which log. */
  readonly logId: string
  /** One past the last record whose rows are in the table. */
  readonly nextOffset: number
  /** Grows with each writer that takes over. */
  readonly writerEpoch: number
  /** Of `events` alone: accepted events that are in no row, since the table began. */
  readonly left?: LeftEvents
}

/** Why accepted events are in no row. Counted in the snapshot that passes them: once, as rows are. */
export interface LeftEvents {
  /** Left out because one of the same source and `eventId` came before. */
  readonly duplicates: number
  /** Damaged in the log, or nothing that delivery could make rows of. */
  readonly undeliverable: number
}

export const NONE_LEFT: LeftEvents = { duplicates: 0, undeliverable: 0 }

const LOG_ID = 'millrace.log-id'
const NEXT_OFFSET = 'millrace.next-offset'
const WRITER_EPOCH = 'millrace.writer-epoch'
const DUPLICATES = 'millrace.duplicates'
const UNDELIVERABLE = 'millrace.undeliverable'

export function progressSummary(progress: Progress): Readonly<Record<string, string>> {
  return {
    [LOG_ID]: progress.logId,
    [NEXT_OFFSET]: String(progress.nextOffset),
    [WRITER_EPOCH]: String(progress.writerEpoch),
    ...(progress.left && {
      [DUPLICATES]: String(progress.left.duplicates),
      [UNDELIVERABLE]: String(progress.left.undeliverable),
    }),
  }
}

/** Of the current snapshot or its nearest ancestor; undefined when no snapshot ever carried one. */
export function progressOf(metadata: TableMetadata): Progress | undefined {
  let snapshot = currentSnapshot(metadata)
  // Bounded by the snapshots there are, should another engine have closed a circle.
  for (let steps = metadata.snapshots?.length ?? 0; snapshot && steps > 0; steps--) {
    const progress = summaryProgress(metadata, snapshot)
    if (progress) return progress
    const parent: Snapshot['parent-snapshot-id'] | null = snapshot['parent-snapshot-id']
    if (parent === undefined || parent === null || parent === -1) return undefined
    const ancestor = snapshotById(metadata, parent)
    if (!ancestor) {
      throw new MillraceError(
        'data_damaged',
        `snapshot ${parent} of ${metadata.location} has expired, and no later one carries ${LOG_ID}`,
        {
          hint: 'Another engine expired the snapshot that holds the progress: see docs/formats/lake.md.',
        },
      )
    }
    snapshot = ancestor
  }
  return undefined
}

export function sameProgress(a: Progress | undefined, b: Progress | undefined): boolean {
  return (
    a?.logId === b?.logId && a?.nextOffset === b?.nextOffset && a?.writerEpoch === b?.writerEpoch
  )
}

function summaryProgress(metadata: TableMetadata, snapshot: Snapshot): Progress | undefined {
  const { summary } = snapshot
  const logId = summary?.[LOG_ID]
  if (logId === undefined) return undefined
  const count = (name: string, fallback?: string) => {
    const text = summary?.[name] ?? fallback
    const value = Number(text)
    if (text !== undefined && Number.isSafeInteger(value) && value >= 0) return value
    throw new MillraceError(
      'data_damaged',
      `snapshot ${snapshot['snapshot-id']} of ${metadata.location} has ${name} ${text}`,
    )
  }
  const progress = {
    logId,
    nextOffset: count(NEXT_OFFSET),
    writerEpoch: count(WRITER_EPOCH),
  }
  if (summary?.[DUPLICATES] === undefined && summary?.[UNDELIVERABLE] === undefined) return progress
  const left = { duplicates: count(DUPLICATES, '0'), undeliverable: count(UNDELIVERABLE, '0') }
  return { ...progress, left }
}

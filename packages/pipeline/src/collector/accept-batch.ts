/**
 * The door: decode, admit, stamp, append, acknowledge.
 *
 * One batch goes in, one answer comes out. A 2xx is given only after the log has the batch on stable
 * storage. A bad event is refused alone; a bad envelope refuses the batch and changes nothing.
 */
import type { IncomingHttpHeaders } from 'node:http'
import {
  type Acknowledgement,
  BATCH_ID_PATTERN,
  limits,
  type Problem,
  problem,
} from '@millrace/protocol'
import { uuidv7 } from 'uuidv7'
import type { Clock } from '../kit/clock.ts'
import { MillraceError } from '../kit/errors.ts'
import {
  type Appended,
  type BatchEntry,
  LogBusy,
  type LogWriter,
  RECORD_FLAGS,
} from '../log/event-log.ts'
import type { TenantStore } from '../tenants/tenant-store.ts'
import { type AuthorizeBearer, admit, admitByHead, type Sender } from './admit.ts'
import { type DecodedBatch, decodeBatch } from './decode.ts'
import type { LoadGate } from './load-gate.ts'

/** What the outcome of a batch tells others: the counters, and people who watch arrivals. */
export interface AcceptObserver {
  accepted(sender: Sender, entry: BatchEntry, appended: Appended): void
}

export interface Door {
  readonly log: LogWriter
  readonly store: Pick<TenantStore, 'sourceByKey' | 'sources'>
  readonly authorizeBearer: AuthorizeBearer
  readonly stamp: (headers: IncomingHttpHeaders) => string
  readonly clock: Clock
  readonly observer: AcceptObserver
  readonly gate: LoadGate
}

export interface BatchRequest {
  readonly body: Buffer
  readonly headers: IncomingHttpHeaders
  /** From the query or a header; the envelope's own comes last. */
  readonly writeKey: string | undefined
  readonly sourceName: string | undefined
  /** Stands in for an envelope's `batchId` (header `Idempotency-Key`). */
  readonly idempotencyKey: string | undefined
  /** Whom `acceptHead` has let in; undefined: yet to be asked. */
  readonly sender?: Sender | undefined
}

const BATCH_ID = new RegExp(BATCH_ID_PATTERN)

/**
 * What the head of a request decides before its body is read or kept: undefined when only the body
 * will tell who sends. `bytes` is what the body is said to have.
 */
export function acceptHead(
  { store, gate }: Door,
  head: Pick<BatchRequest, 'writeKey' | 'headers'>,
  bytes: number,
): Sender | Problem | undefined {
  const busy = gate.busy()
  if (busy !== undefined) return busy
  const sender = admitByHead(store, head)
  if (sender === undefined || !('source' in sender)) return sender
  return gate.take(sender, bytes) ?? sender
}

export async function acceptBatch(
  door: Door,
  request: BatchRequest,
): Promise<Acknowledgement | Problem> {
  const decoded = decodeBatch(request.body)
  if (!decoded.ok) return decoded.problem
  const { batch } = decoded

  const admitted = request.sender ?? admitWhole(door, request, batch.key)
  // A write key is known at once, and an await that waits for nothing still costs its turn.
  const sender = admitted instanceof Promise ? await admitted : admitted
  if (!('source' in sender)) return sender
  if (batch.historical && !sender.server) {
    return problem('forbidden', 'historical batches need a server credential', {
      pointer: '/historical',
    })
  }

  const batchId = batch.batchId ?? request.idempotencyKey ?? uuidv7()
  if (batchId.length > limits.ID_LENGTH_MAX || !BATCH_ID.test(batchId)) {
    return problem('invalid_request', 'Idempotency-Key: 1 to 128 letters, digits or ._:-')
  }
  if (batch.eventCount + batch.rejections.length === 0) {
    return { batchId, accepted: 0, rejected: [], duplicate: false }
  }

  const entry = entryOf(batch, batchId, sender, door.clock.now(), door.stamp(request.headers))
  let appended: Appended
  try {
    appended = await door.log.append(entry)
  } catch (error) {
    return refusalOf(error)
  }
  door.observer.accepted(sender, entry, appended)

  if (appended.duplicate) {
    return { batchId, accepted: appended.acceptedCount, rejected: [], duplicate: true }
  }
  const rejected = batch.rejections.map(({ raw: _, ...rejection }) => rejection)
  return { batchId, accepted: batch.eventCount, rejected, duplicate: false }
}

/** Who sends is known now that the body is read; only now can he be charged for it. */
function admitWhole(
  { store, authorizeBearer, gate }: Door,
  { body, headers, sourceName, ...request }: BatchRequest,
  keyOfBody: string | undefined,
): Sender | Problem | Promise<Sender | Problem> {
  const charge = (sender: Sender | Problem) =>
    'source' in sender ? (gate.take(sender, body.length) ?? sender) : sender
  const writeKey = request.writeKey ?? keyOfBody
  const admitted = admit(store, authorizeBearer, { writeKey, headers, sourceName })
  return admitted instanceof Promise ? admitted.then(charge) : charge(admitted)
}

function entryOf(
  batch: DecodedBatch,
  batchId: string,
  sender: Sender,
  receivedMs: number,
  context: string,
): BatchEntry {
  return {
    tenantNo: sender.tenantNo,
    sourceNo: sender.source.sourceNo,
    receivedMs,
    sentMs: batch.sentMs,
    batchId,
    eventCount: batch.eventCount,
    flags: batch.flags | (batch.historical ? RECORD_FLAGS.historical : 0),
    indexes: batch.indexes,
    defaults: batch.defaults,
    context,
    events: batch.events,
    packed: batch.packed,
    rejections: batch.rejections,
  }
}

/** The log's own refusals become answers; anything else is a fault of ours and is thrown on. */
function refusalOf(error: unknown): Problem {
  if (error instanceof LogBusy) return problem('unavailable', error.message)
  if (error instanceof MillraceError && error.code === 'disk_full')
    return problem('disk_full', 'the log has no room')
  if (error instanceof MillraceError && error.code === 'disk_failed')
    return problem('unavailable', 'the log is closed after a disk error')
  throw error
}

/**
 * A request's body as one buffer, never larger than the wire allows, before and after gunzip.
 *
 * The limit holds while reading, so a body without an end costs a mebibyte at most, and while
 * decompressing, so a bomb is stopped at the limit and not at the end of its output. All bodies that are
 * being read share the gate's room. A body that begins with gzip's magic bytes is decompressed whatever
 * its headers say: a beacon cannot set `Content-Encoding`, and JSON never begins so.
 */
import type { IncomingMessage } from 'node:http'
import { limits, type Problem, problem } from '@millrace/protocol'
import { gunzipOne, isGzip } from './gunzip.ts'
import type { LoadGate } from './load-gate.ts'

export type Body =
  | { readonly ok: true; readonly bytes: Buffer }
  /** `isLast`: what is left of it is not waited for, and the connection ends with the answer. */
  | { readonly ok: false; readonly problem: Problem; readonly isLast?: boolean }

/** A body that is still coming after `graceMs` must have come at `bytesPerSecondMin` so far. */
export const SLOW_BODY = { graceMs: 5_000, bytesPerSecondMin: 1_024 }

const EMPTY = Buffer.alloc(0)

/** Calls back once: with the whole body, or with why it is refused. The rest is then not kept. */
export function readBody(
  request: IncomingMessage,
  gate: LoadGate,
  done: (body: Body) => void,
): void {
  const encoding = request.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'gzip' && encoding !== 'identity') {
    done(refused(problem('unsupported_media_type', `Content-Encoding "${encoding.slice(0, 40)}"`)))
    return
  }
  const declared = saidLength(request)
  if (declared !== undefined && declared > limits.BODY_BYTES_MAX) {
    done(tooLarge('Content-Length of', declared))
    return
  }
  const room = declared ?? limits.BODY_BYTES_MAX
  const full = gate.reserve(room)
  if (full !== undefined) {
    done(refused(full))
    return
  }
  collect(request, (body) => {
    gate.release(room)
    if (!body.ok || (encoding !== 'gzip' && !isGzip(body.bytes))) done(body)
    else unpack(body.bytes, gate, done)
  })
}

/** What its head says a body has; undefined: it comes in chunks. */
export function saidLength({ headers }: IncomingMessage): number | undefined {
  if (headers['transfer-encoding'] !== undefined) return undefined
  return Number(headers['content-length'] ?? 0)
}

function collect(request: IncomingMessage, done: (body: Body) => void): void {
  const parts: Buffer[] = []
  let length = 0
  let finished = false
  const finish = (body: Body) => {
    if (finished) return
    finished = true
    clearTimeout(timer)
    done(body)
  }
  const timer = setTimeout(() => {
    if (length >= (SLOW_BODY.graceMs / 1_000) * SLOW_BODY.bytesPerSecondMin) return
    const detail = `the body came with less than ${SLOW_BODY.bytesPerSecondMin} bytes a second`
    finish({ ...refused(problem('invalid_request', detail)), isLast: true })
  }, SLOW_BODY.graceMs)
  request.on('data', (chunk: Buffer) => {
    if (finished) return
    length += chunk.length
    if (length > limits.BODY_BYTES_MAX) return finish(tooLarge('more than', limits.BODY_BYTES_MAX))
    parts.push(chunk)
  })
  request.on('end', () => {
    const bytes = parts.length > 1 ? Buffer.concat(parts, length) : (parts[0] ?? EMPTY)
    finish({ ok: true, bytes })
  })
  const cut = () => finish(refused(problem('invalid_request', 'the body ended early')))
  request.on('error', cut)
  request.on('close', () => {
    if (!request.readableEnded) cut()
  })
}

function unpack(bytes: Buffer, gate: LoadGate, done: (body: Body) => void): void {
  const full = gate.reserve(limits.BODY_BYTES_MAX)
  if (full !== undefined) {
    done(refused(full))
    return
  }
  gunzipOne(bytes, limits.BODY_BYTES_MAX, (unpacked) => {
    gate.release(limits.BODY_BYTES_MAX)
    if (unpacked.ok) done(unpacked)
    else if (unpacked.isTooLarge) done(tooLarge('decompressed to more than', limits.BODY_BYTES_MAX))
    else done(refused(problem('invalid_gzip', unpacked.why)))
  })
}

function refused(why: Problem) {
  return { ok: false as const, problem: why }
}

function tooLarge(words: string, bytes: number) {
  return refused(
    problem('body_too_large', `${words} ${bytes} bytes, the limit is ${limits.BODY_BYTES_MAX}`),
  )
}

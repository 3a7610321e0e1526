/**
 * `POST /v1/events` on bare `node:http`, apart from the framework that serves everything else.
 *
 * `acceptBatch` does the work; this file reads the request and writes the answer. It takes every
 * request for the route that the fast lane (fast-lane.ts) has not taken. Any site may post (CORS),
 * because the write key and the source's origins decide, and no cookie is ever read here.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { type Acknowledgement, limits, type Problem, problem } from '@millrace/protocol'
import { acceptBatch, acceptHead, type BatchRequest, type Door } from './accept-batch.ts'
import { answerTo, preflightHeaders } from './answer.ts'
import { readBody, saidLength } from './request-body.ts'

export const INGEST_PATH = '/v1/events'

export interface IngestObserver {
  /**
   * Once for each request: its outcome (`accepted` or a problem's code), how long it took, and the
   * bytes of its body as its Content-Length says, 0 where it says nothing.
   */
  answered(outcome: string, elapsedMs: number, bodyBytes: number): void
  /** A fault of ours: the answer was 500. */
  failed(error: unknown): void
}

/** Answers the request if it is for this route; false leaves it to others. */
export function ingestRoute(
  door: Door,
  observer: IngestObserver,
  elapsed: () => number,
): (request: IncomingMessage, response: ServerResponse) => boolean {
  return (request, response) => {
    const url = request.url ?? ''
    if (!isIngestUrl(url)) return false
    const startedMs = elapsed()
    const answer = (outcome: Acknowledgement | Problem, isLast = false) => {
      const code = 'code' in outcome ? outcome.code : 'accepted'
      observer.answered(code, elapsed() - startedMs, bodyBytesOf(request.headers['content-length']))
      send(request, response, outcome, isLast)
    }
    if (request.method === 'OPTIONS') {
      const { origin } = request.headers
      response.writeHead(204, [...preflightHeaders(origin), 'Content-Length', '0']).end()
      return true
    }
    if (request.method !== 'POST') {
      answer(problem('method_not_allowed', `${request.method} ${INGEST_PATH}`))
      return true
    }
    const type = request.headers['content-type']
    if (!isTakenType(type)) {
      const found = type === undefined ? 'missing' : `"${type.slice(0, 60)}"`
      answer(problem('unsupported_media_type', `Content-Type ${found}`))
      return true
    }
    const begin = () => {
      // A client that left while it waited.
      if (request.destroyed) return
      const head = batchHead(url, request.headers)
      const saidBytes = Math.min(saidLength(request) ?? 0, limits.BODY_BYTES_MAX)
      const sender = acceptHead(door, head, saidBytes)
      if (sender !== undefined && !('source' in sender)) {
        answer(sender)
        return
      }
      readBody(request, door.gate, (body) => {
        if (!body.ok) return answer(body.problem, body.isLast)
        if (sender !== undefined) door.gate.correct(sender, body.bytes.length - saidBytes)
        acceptBatch(door, { ...head, body: body.bytes, sender }).then(
          (outcome) => answer(outcome),
          (error) => {
            observer.failed(error)
            answer(FAULT)
          },
        )
      })
    }
    const full = door.gate.enter({ begin }, door.gate.hasWaited(request.socket))
    if (full !== undefined) answer(full)
    return true
  }
}

export function bodyBytesOf(contentLength: string | undefined): number {
  return contentLength !== undefined && /^\d{1,15}$/.test(contentLength) ? Number(contentLength) : 0
}

/** What the sender hears of a fault of ours. */
export const FAULT = problem('internal', 'the batch was not taken; send it again')

export function isIngestUrl(url: string): boolean {
  if (!url.startsWith(INGEST_PATH)) return false
  return url.length === INGEST_PATH.length || url[INGEST_PATH.length] === '?'
}

/** A beacon can only send `text/plain` without asking first. */
export function isTakenType(type: string | undefined): boolean {
  return type !== undefined && /^(?:application\/json|text\/plain)(?:;|$)/i.test(type)
}

export interface UrlFacts {
  readonly key: string | undefined
  readonly source: string | undefined
}

export function urlFacts(url: string): UrlFacts {
  if (url.length === INGEST_PATH.length) return { key: undefined, source: undefined }
  const query = new URLSearchParams(url.slice(INGEST_PATH.length + 1))
  return { key: query.get('key') ?? undefined, source: query.get('source') ?? undefined }
}

function batchHead(url: string, headers: IncomingHttpHeaders): Omit<BatchRequest, 'body'> {
  const { key, source } = urlFacts(url)
  return {
    headers,
    writeKey: key ?? headerText(headers, 'x-write-key'),
    sourceName: source,
    idempotencyKey: headerText(headers, 'idempotency-key'),
  }
}

export function headerText(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : undefined
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  outcome: Acknowledgement | Problem,
  isLast: boolean,
): void {
  const { status, headers, text } = answerTo(outcome, request.headers.origin)
  response.sendDate = false
  if (isLast) {
    response.writeHead(status, [...headers, 'Connection', 'close']).end(text)
    return
  }
  const length = saidLength(request)
  if (request.complete || (length !== undefined && length <= limits.BODY_BYTES_MAX)) {
    // What is still to come is counted off and dropped; the connection stays good.
    request.resume()
    response.writeHead(status, headers as string[]).end(text)
    return
  }
  // Nobody knows how much is left of a refused body, and it would be taken for the next request.
  response.writeHead(status, [...headers, 'Connection', 'close']).write(text)
  discardRest(request, () => response.end())
}

/** A larger body is an attack or a mistake that no answer mends. */
const DISCARD_BYTES_MAX = 32 * 1_048_576
const DISCARD_MS_MAX = 5_000

/**
 * Reads a refused body on, within bounds, and drops it: a sender that is still writing when the
 * connection is closed is told of a reset and never reads the answer.
 */
function discardRest(request: IncomingMessage, done: () => void): void {
  let left = DISCARD_BYTES_MAX
  const timer = setTimeout(done, DISCARD_MS_MAX)
  const finish = () => {
    clearTimeout(timer)
    done()
  }
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) finish()
  })
  request.once('end', finish).once('close', finish)
}

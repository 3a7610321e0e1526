/**
 * `POST /v1/events` on bare `node:http`: the one route where a microsecond counts.
 *
 * It stands apart from the framework that serves everything else; `acceptBatch` does the work, this
 * file reads the request and writes the answer. Any site may post (CORS), because the write key and the
 * source's origins decide, and no cookie is ever read here.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Problem, problem } from '@millrace/protocol'
import { type BatchRequest, acceptBatch, type Door } from './accept-batch.ts'
import { readBody } from './request-body.ts'

const PATH = '/v1/events'
const PREFLIGHT = {
  'Access-Control-Allow-Methods': 'POST',
  'Access-Control-Allow-Headers': 'Authorization, Content-Encoding, Content-Type, Idempotency-Key, X-Write-Key',
  'Access-Control-Max-Age': '86400',
  'Content-Length': '0',
}
/** Sent with every 429 and 503; trackers add their own jitter. */
const RETRY_AFTER_SECONDS = '2'

export interface IngestObserver {
  /** Once for each request: its outcome (`accepted` or a problem's code) and how long it took. */
  answered(outcome: string, elapsedMs: number): void
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
    if (!url.startsWith(PATH) || (url.length > PATH.length && url[PATH.length] !== '?')) return false
    const startedMs = elapsed()
    const answer = (outcome: object | Problem) => {
      observer.answered('code' in outcome ? (outcome as Problem).code : 'accepted', elapsed() - startedMs)
      send(request, response, outcome)
    }
    if (request.method === 'OPTIONS') {
      response.writeHead(204, { ...corsHeaders(request), ...PREFLIGHT }).end()
      return true
    }
    if (request.method !== 'POST') {
      answer(problem('method_not_allowed', `${request.method} ${PATH}`))
      return true
    }
    const type = request.headers['content-type']
    if (type === undefined || !/^(?:application\/json|text\/plain)(?:;|$)/i.test(type)) {
      answer(problem('unsupported_media_type', `Content-Type ${type === undefined ? 'missing' : `"${type.slice(0, 60)}"`}`))
      request.resume()
      return true
    }
    readBody(request, (body) => {
      if (!body.ok) return answer(body.problem)
      acceptBatch(door, requestOf(request, url, body.bytes)).then(answer, (error) => {
        observer.failed(error)
        answer(problem('internal', 'the batch was not taken; send it again'))
      })
    })
    return true
  }
}

function requestOf(request: IncomingMessage, url: string, body: Buffer): BatchRequest {
  const query = url.length > PATH.length ? new URLSearchParams(url.slice(PATH.length + 1)) : undefined
  return {
    body,
    headers: request.headers,
    writeKey: query?.get('key') ?? headerText(request, 'x-write-key'),
    sourceName: query?.get('source') ?? undefined,
    idempotencyKey: headerText(request, 'idempotency-key'),
  }
}

function headerText(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' ? value : undefined
}

function corsHeaders(request: IncomingMessage): Record<string, string> {
  const { origin } = request.headers
  if (origin === undefined) return {}
  // A tracker on another site may read when to come again.
  return { 'Access-Control-Allow-Origin': origin, 'Access-Control-Expose-Headers': 'Retry-After', Vary: 'Origin' }
}

function send(request: IncomingMessage, response: ServerResponse, outcome: object | Problem): void {
  const text = JSON.stringify(outcome)
  const failed = 'status' in outcome && 'code' in outcome ? (outcome as Problem) : undefined
  const status = failed?.status ?? 202
  response.sendDate = false
  const headers: Record<string, string | number> = {
    'Content-Type': failed === undefined ? 'application/json' : 'application/problem+json',
    'Content-Length': Buffer.byteLength(text),
  }
  // A page of a foreign origin learns nothing, not even why.
  if (failed?.code !== 'forbidden_origin') Object.assign(headers, corsHeaders(request))
  if (status === 401) headers['WWW-Authenticate'] = 'Bearer'
  if (status === 405) headers.Allow = 'POST, OPTIONS'
  if (status === 429 || status === 503) headers['Retry-After'] = RETRY_AFTER_SECONDS
  // What is left of a refused body would be taken for the next request.
  if (!request.complete) headers.Connection = 'close'
  response.writeHead(status, headers).end(text)
}

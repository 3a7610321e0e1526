/**
 * `POST /v1/batch`: Segment's calls, translated and taken through the same door.
 *
 * It lives on the framework, being far from hot, yet reads bodies within the hot route's limits and gives
 * its answers, to pages on other sites as well.
 */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { Acknowledgement, Problem } from '@millrace/protocol'
import { Hono } from 'hono'
import { acceptBatch, type Door } from './accept-batch.ts'
import { answerTo, preflightHeaders } from './answer.ts'
import { bodyBytesOf, FAULT, type IngestObserver } from './ingest-route.ts'
import type { LoadGate } from './load-gate.ts'
import { type Body, readBody } from './request-body.ts'
import { envelopeOfSegmentBatch } from './segment-batch.ts'

export function segmentRoute(door: Door, observer: IngestObserver, elapsed: () => number): Hono {
  const app = new Hono()
  app.options('/v1/batch', (context) => {
    const headers = pairs(preflightHeaders(context.req.header('origin')))
    return new Response(null, { status: 204, headers })
  })
  app.post('/v1/batch', async (context) => {
    const startedMs = elapsed()
    const outcome = await acceptSegmentBatch(door, context.req.raw).catch((error: unknown) => {
      observer.failed(error)
      return FAULT
    })
    const code = 'code' in outcome ? outcome.code : 'accepted'
    const bodyBytes = bodyBytesOf(context.req.header('content-length'))
    observer.answered(code, elapsed() - startedMs, bodyBytes)
    const { status, headers, text } = answerTo(outcome, context.req.header('origin'))
    return new Response(text, { status, headers: pairs(headers) })
  })
  return app
}

async function acceptSegmentBatch(
  door: Door,
  request: Request,
): Promise<Acknowledgement | Problem> {
  const body = await readWebBody(request, door.gate)
  if (!body.ok) return body.problem
  const translated = envelopeOfSegmentBatch(body.bytes, new Date(door.clock.now()).toISOString())
  if ('code' in translated) return translated
  const headers = Object.fromEntries(request.headers)
  const basic = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(headers.authorization ?? '')?.[1]
  const keyOfBasic =
    basic === undefined ? undefined : Buffer.from(basic, 'base64').toString().split(':')[0]
  if (basic !== undefined) delete headers.authorization
  const keyOfUrl = new URL(request.url).searchParams.get('key') ?? undefined
  return acceptBatch(door, {
    body: Buffer.from(translated.envelope),
    headers,
    writeKey: keyOfBasic ?? keyOfUrl ?? translated.writeKey,
    sourceName: undefined,
    idempotencyKey: undefined,
  })
}

/** The framework's request as the hot route's reader wants it: the same limits, the same answers. */
function readWebBody(request: Request, gate: LoadGate): Promise<Body> {
  const source = request.body === null ? Readable.from([]) : Readable.fromWeb(request.body as never)
  const like = Object.assign(source, {
    headers: Object.fromEntries(request.headers),
  }) as unknown as IncomingMessage
  return new Promise((resolve) => readBody(like, gate, resolve))
}

/** Name, value, name, value … as the web's headers take them. */
function pairs(flat: readonly string[]): [string, string][] {
  const found: [string, string][] = []
  for (let at = 0; at < flat.length; at += 2) found.push([flat[at]!, flat[at + 1]!])
  return found
}

/**
 * A request's body as one buffer, never larger than the wire allows, before and after gunzip.
 *
 * The limit holds while reading, so a body without an end costs a mebibyte at most, and while
 * decompressing, so a bomb is stopped at the limit and not at the end of its output. A body that begins
 * with gzip's magic bytes is decompressed whatever its headers say: a beacon cannot set
 * `Content-Encoding`, and JSON never begins so.
 */
import type { IncomingMessage } from 'node:http'
import { gunzip } from 'node:zlib'
import { limits, type Problem, problem } from '@millrace/protocol'

export type Body =
  | { readonly ok: true; readonly bytes: Buffer }
  | { readonly ok: false; readonly problem: Problem }

const EMPTY = Buffer.alloc(0)

/** Calls back once: with the whole body, or with why it is refused. The rest is then not kept. */
export function readBody(request: IncomingMessage, done: (body: Body) => void): void {
  const encoding = request.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'gzip' && encoding !== 'identity') {
    done(refused(problem('unsupported_media_type', `Content-Encoding "${encoding.slice(0, 40)}"`)))
    return
  }
  if (Number(request.headers['content-length'] ?? 0) > limits.BODY_BYTES_MAX) {
    done(tooLarge('Content-Length of', Number(request.headers['content-length'])))
    return
  }
  let first: Buffer | undefined
  let rest: Buffer[] | undefined
  let length = 0
  let finished = false
  const finish = (body: Body) => {
    if (finished) return
    finished = true
    done(body)
  }
  request.on('data', (chunk: Buffer) => {
    if (finished) return
    length += chunk.length
    if (length > limits.BODY_BYTES_MAX) return finish(tooLarge('more than', limits.BODY_BYTES_MAX))
    if (first === undefined) first = chunk
    else if (rest === undefined) rest = [first, chunk]
    else rest.push(chunk)
  })
  request.on('end', () => {
    const bytes = rest === undefined ? (first ?? EMPTY) : Buffer.concat(rest, length)
    if (encoding === 'gzip' || (bytes[0] === 0x1f && bytes[1] === 0x8b)) decompress(bytes, finish)
    else finish({ ok: true, bytes })
  })
  request.on('error', () => finish(refused(problem('invalid_request', 'the body ended early'))))
}

function decompress(bytes: Buffer, finish: (body: Body) => void): void {
  gunzip(bytes, { maxOutputLength: limits.BODY_BYTES_MAX }, (error, plain) => {
    if (error === null) return finish({ ok: true, bytes: plain })
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      return finish(tooLarge('decompressed to more than', limits.BODY_BYTES_MAX))
    }
    finish(refused(problem('invalid_gzip', error.message)))
  })
}

function refused(why: Problem): Body {
  return { ok: false, problem: why }
}

function tooLarge(words: string, bytes: number): Body {
  return refused(
    problem('body_too_large', `${words} ${bytes} bytes, the limit is ${limits.BODY_BYTES_MAX}`),
  )
}

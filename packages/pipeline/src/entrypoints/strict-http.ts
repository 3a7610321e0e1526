/**
 * What `node:http` takes and we do not: requests that two parsers in a row could read as two different
 * ones, and heads that no honest client sends (RFC 9112, sections 3.2 and 6.1).
 *
 * The fast lane never sees them: it hands on what is not of its one shape (collector/plain-head.ts).
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Problem, problem } from '@millrace/protocol'

/** As in the fast lane: far more than a browser or a library sends. */
const HEADERS_MAX = 64
const ABSOLUTE = /^https?:\/\/([^/?#]*)([^#]*)/i

/** False: it has been answered, and its connection ends. May make an absolute target a path. */
export function passesStrictly(request: IncomingMessage, response: ServerResponse): boolean {
  if (request.rawHeaders.length / 2 > HEADERS_MAX) {
    response.writeHead(431, { Connection: 'close' }).end()
    return false
  }
  const fault = faultOf(request)
  if (fault === undefined) return true
  const text = JSON.stringify(fault)
  response.writeHead(fault.status, {
    'Content-Type': 'application/problem+json',
    'Content-Length': Buffer.byteLength(text),
    ...(fault.status === 405 ? { Allow: 'GET, HEAD, POST, PUT, DELETE, OPTIONS' } : {}),
    Connection: 'close',
  })
  response.end(text)
  return false
}

function faultOf(request: IncomingMessage): Problem | undefined {
  const { rawHeaders, headers, method, url = '' } = request
  if (method === 'TRACE') return problem('method_not_allowed', 'TRACE')
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]!.toLowerCase() === 'host') hosts++
  }
  if (hosts > 1) return problem('invalid_request', `${hosts} Host headers`)
  if (request.httpVersion === '1.0' && headers['transfer-encoding'] !== undefined) {
    return problem('invalid_request', 'HTTP/1.0 has no Transfer-Encoding')
  }
  const absolute = ABSOLUTE.exec(url)
  if (absolute === null) return undefined
  const [, authority = '', rest = ''] = absolute
  if (authority.toLowerCase() !== headers.host?.toLowerCase()) {
    return problem('invalid_request', 'the target names another host than the header Host')
  }
  request.url = rest.startsWith('/') ? rest : `/${rest}`
  return undefined
}

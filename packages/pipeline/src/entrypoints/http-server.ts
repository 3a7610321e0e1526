/**
 * The listening server: the hot route first, everything else by the framework.
 *
 * Timeouts and sizes are bounds against slow and greedy clients; each has its reason. The first request
 * byte to the last header within five seconds, the body within ten: a beacon needs far less. With a
 * certificate the same port speaks TLS, and everything behind it is the same.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import type { FastLane } from '../collector/fast-lane.ts'
import type { LaneTimeouts } from '../collector/lane-connection.ts'
import { errnoOf, MillraceError } from '../kit/errors.ts'
import { type ConnectionLimits, Connections } from './connections.ts'
import { passesStrictly } from './strict-http.ts'
import { type CertificateFiles, readCertificate, watchCertificate } from './tls.ts'

const HEADERS_TIMEOUT_MS = 5_000
const REQUEST_TIMEOUT_MS = 10_000
/** Longer than the 60 s of common proxies, so that they close first and no request meets a closed door. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000
const HEADERS_BYTES_MAX = 16_384
const CHECK_EVERY_MS = 1_000
/** A reader that takes nothing of an answer for so long holds memory for no one. */
const DRAIN_TIMEOUT_MS = 10_000
/** Connections that wait to be accepted; the system's own bound (`somaxconn`) may be lower. */
const BACKLOG = 4_096
/** Requests under way get this long at a graceful stop. */
const DRAIN_MS = 5_000

const OPTIONS = {
  noDelay: true,
  // One read takes a whole batch of ordinary size.
  highWaterMark: 65_536,
  maxHeaderSize: HEADERS_BYTES_MAX,
  headersTimeout: HEADERS_TIMEOUT_MS,
  requestTimeout: REQUEST_TIMEOUT_MS,
  keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
  connectionsCheckingInterval: CHECK_EVERY_MS,
}
const TLS_OPTIONS = { handshakeTimeout: HEADERS_TIMEOUT_MS, ALPNProtocols: ['http/1.1'] }

export interface HttpServer {
  /** `http://host:port`, as clients on this machine call it. */
  readonly url: string
  /** Stops accepting at once, lets requests under way end, then closes what is left. */
  close(): Promise<void>
}

export interface Routes {
  readonly app: Hono
  /** Answers a request for the hot route; false leaves it to the framework. */
  readonly hot: (request: IncomingMessage, response: ServerResponse) => boolean
  /** Where connections begin; what is not the hot route's common case goes on to `ordinary`. */
  readonly lane: (ordinary: (socket: Socket) => void, timeouts: LaneTimeouts) => FastLane
  /** Ends answers that would go on for ever. */
  readonly endStreams?: () => void
}

export interface ListenOptions {
  readonly host: string
  readonly port: number
  readonly limits: ConnectionLimits
  /** Speaks TLS with it. */
  readonly certificate?: CertificateFiles | undefined
  /** Something is wrong that does not stop the server. */
  readonly warn: (error: unknown) => void
}

export async function listen(
  { app, hot, lane: openLane, endStreams }: Routes,
  { host, port, limits, certificate, warn }: ListenOptions,
): Promise<HttpServer> {
  const framework = getRequestListener(app.fetch, { overrideGlobalObjects: false })
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    if (passesStrictly(request, response) && !hot(request, response))
      void framework(request, response)
  }
  const server =
    certificate === undefined
      ? createServer(OPTIONS, serve)
      : createTlsServer({ ...OPTIONS, ...TLS_OPTIONS, ...readCertificate(certificate) }, serve)
  closeStuckReaders(server)
  const secured = certificate === undefined ? 'connection' : 'secureConnection'
  const lane = putBefore(server, secured, openLane)
  guard(server, new Connections(limits))
  const unwatch =
    certificate === undefined
      ? () => {}
      : watchCertificate(certificate, (pair) => (server as TlsServer).setSecureContext(pair), warn)
  await bind(server, host, port)
  const bound = server.address() as AddressInfo
  return {
    url: `${certificate === undefined ? 'http' : 'https'}://${nameToCall(host)}:${bound.port}`,
    close: async () => {
      unwatch()
      endStreams?.()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      lane.close()
      const timer = setTimeout(() => {
        server.closeAllConnections()
        lane.destroy()
      }, DRAIN_MS)
      await closed
      clearTimeout(timer)
      lane.destroy()
    },
  }
}

/** Every address cannot be called; this machine's own stands for it. */
function nameToCall(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

type Accept = (socket: Socket) => void

/** Closes, before anything else sees it, what is one connection too many. */
function guard(server: Server, connections: Connections): void {
  const accept = server.listeners('connection') as Accept[]
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    if (!connections.admit(socket)) socket.destroy()
    else for (const next of accept) next.call(server, socket)
  })
}

/**
 * The timer of a socket runs while nothing moves on it, in or out. Where nothing waits to go out, that is
 * no fault: a stream of rare events, a long question.
 */
function closeStuckReaders(server: Server): void {
  server.timeout = DRAIN_TIMEOUT_MS
  server.on('timeout', (socket: Socket) => {
    if (socket.writableLength > 0) socket.destroy()
  })
}

/** The lane gets the server's connections, and the server those that the lane gives up. */
function putBefore(
  server: Server,
  event: 'connection' | 'secureConnection',
  openLane: Routes['lane'],
): FastLane {
  const [ordinary] = server.listeners(event) as Accept[]
  server.removeAllListeners(event)
  const lane = openLane((socket) => ordinary!.call(server, socket), {
    firstByteMs: HEADERS_TIMEOUT_MS,
    bodyMs: REQUEST_TIMEOUT_MS,
    keepAliveMs: KEEP_ALIVE_TIMEOUT_MS,
    drainMs: DRAIN_TIMEOUT_MS,
  })
  server.on(event, (socket: Socket) => lane.take(socket))
  return lane
}

function bind(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const errno = errnoOf(error)
      reject(
        errno === 'EADDRINUSE' || errno === 'EACCES'
          ? new MillraceError(
              'port_in_use',
              `port ${port} on ${host} is ${errno === 'EACCES' ? 'not allowed' : 'in use'}`,
              { cause: error },
            )
          : new MillraceError(
              'bad_config',
              `cannot listen on ${host}:${port}: ${errno ?? error.message}`,
              { cause: error },
            ),
      )
    })
    server.listen({ port, host, backlog: BACKLOG }, () => resolve())
  })
}

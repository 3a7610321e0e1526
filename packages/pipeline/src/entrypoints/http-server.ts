/**
 * The listening server: the hot route first, everything else by the framework.
 *
 * Timeouts and sizes are bounds against slow and greedy clients; each has its reason. The first request
 * byte to the last header within five seconds, the body within ten: a beacon needs far less.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import { errnoOf, MillraceError } from '../kit/errors.ts'

const HEADERS_TIMEOUT_MS = 5_000
const REQUEST_TIMEOUT_MS = 10_000
/** Longer than the 60 s of common proxies, so that they close first and no request meets a closed door. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000
const HEADERS_BYTES_MAX = 16_384
const CHECK_EVERY_MS = 1_000
/** Requests under way get this long at a graceful stop. */
const DRAIN_MS = 5_000

export interface HttpServer {
  /** `http://host:port`, as bound. */
  readonly url: string
  /** Stops accepting at once, lets requests under way end, then closes what is left. */
  close(): Promise<void>
}

export async function listen(
  app: Hono,
  hot: (request: IncomingMessage, response: ServerResponse) => boolean,
  { host, port }: { host: string; port: number },
): Promise<HttpServer> {
  const framework = getRequestListener(app.fetch, { overrideGlobalObjects: false })
  const server = createServer(
    {
      noDelay: true,
      // One read takes a whole batch of ordinary size.
      highWaterMark: 65_536,
      maxHeaderSize: HEADERS_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_EVERY_MS,
    },
    (request, response) => {
      if (!hot(request, response)) void framework(request, response)
    },
  )
  await bind(server, host, port)
  const bound = server.address() as AddressInfo
  const name = host.includes(':') ? `[${host}]` : host === '0.0.0.0' ? '127.0.0.1' : host
  return {
    url: `http://${name}:${bound.port}`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const timer = setTimeout(() => server.closeAllConnections(), DRAIN_MS)
      await closed
      clearTimeout(timer)
    },
  }
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
    server.listen(port, host, () => resolve())
  })
}

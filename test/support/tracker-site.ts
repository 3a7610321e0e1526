/**
 * A site and a collector for the browser test, on two ports, so that every request is cross-origin.
 *
 * The pages count what they dispatch with listeners of their own, knowing nothing of the tracker:
 * what arrives is compared with that, not with what the tracker believes.
 */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Packed, unpackEvents } from '@millrace/protocol'

export interface ReceivedEvent {
  readonly eventType: string
  readonly timestamp: number
  readonly target?: string
  readonly data: { readonly [key: string]: unknown }
  readonly seq: number
}

export interface ReceivedBatch {
  readonly batchId: string
  readonly pageId: string
  readonly path: string
  readonly visitorId: string
  readonly userId?: string
  readonly consent?: object
  readonly events: readonly ReceivedEvent[]
}

export interface TestSite {
  readonly origin: string
  /** Every batch answered 202, once per batchId; its events as objects in either form. */
  readonly batches: ReceivedBatch[]
  /** Every request as it came, whatever the answer. */
  readonly requests: { method: string; url: string; body: string; type: string; status: number }[]
  /** Answers to come, before 202 again. */
  readonly answers: { status: number; headers?: Record<string, string> }[]
  close(): Promise<void>
}

const COUNTER = `
  window.counts = {}
  const count = (type, by = 1) => { counts[type] = (counts[type] || 0) + by }
  for (const type of ['pointermove', 'pointerdown', 'pointerup']) {
    document.addEventListener(type, (e) => { if (e.pointerType !== 'touch') count(type) }, true)
  }
  for (const type of ['click', 'auxclick', 'dblclick', 'contextmenu', 'scroll']) {
    document.addEventListener(type, () => count(type), true)
  }
  for (const type of ['touchstart', 'touchmove', 'touchend', 'touchcancel']) {
    document.addEventListener(type, (e) => count(type, e.changedTouches.length), true)
  }`

const page = (snippet: string, tag: string) => `<!doctype html>
<meta name=viewport content="width=device-width"><title>canary-title</title>
<style>body { height: 4000px } #box { width: 200px; height: 100px; overflow: auto }</style>
<script>${COUNTER}</script>
<script>${snippet}</script>
<main id="main"><button data-track="buy">canary-text <b>now</b></button>
<form id="form-20418"><input id="name"><input type="password"><textarea></textarea></form>
<div id="box"><div style="height: 900px">long</div></div></main>
${tag}`

const listen = (server: Server) =>
  new Promise<string>((resolve) =>
    server.listen(0, '127.0.0.1', () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    ),
  )

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

export function readBatch(body: string): ReceivedBatch {
  const { packed, ...batch } = JSON.parse(body) as { packed?: Packed }
  const events = packed === undefined ? {} : { events: unpackEvents(packed) }
  return { ...batch, ...events } as unknown as ReceivedBatch
}

export async function startTestSite(scriptPath: string): Promise<TestSite> {
  const batches: ReceivedBatch[] = []
  const requests: TestSite['requests'] = []
  const answers: TestSite['answers'] = []

  async function collect(request: IncomingMessage, response: ServerResponse) {
    const body = await bodyOf(request)
    const { status, headers } = answers.shift() ?? { status: 202, headers: {} }
    requests.push({
      method: request.method ?? '',
      url: request.url ?? '',
      body,
      type: request.headers['content-type'] ?? '',
      status,
    })
    const cors = {
      'access-control-allow-origin': '*',
      'access-control-expose-headers': 'retry-after',
    }
    response.writeHead(status, { ...cors, ...headers })
    if (status !== 202) return void response.end('{}')
    const batch = readBatch(body)
    const duplicate = batches.some((known) => known.batchId === batch.batchId)
    if (!duplicate) batches.push(batch)
    const answer = {
      batchId: batch.batchId,
      accepted: batch.events.length,
      rejected: [],
      duplicate,
    }
    response.end(JSON.stringify(answer))
  }

  const collector = createServer((request, response) => {
    if (request.url === '/m.js') {
      response.setHeader('content-type', 'text/javascript')
      response.end(readFileSync(scriptPath))
    } else void collect(request, response)
  })
  const collectorOrigin = await listen(collector)

  const script = `<script async data-debug src="${collectorOrigin}/m.js"`
  const stub =
    'window.millrace=window.millrace||function(){(millrace.q=millrace.q||[]).push(arguments)}'
  const pages: Record<string, string> = {
    '/auto': page('', `${script} data-key="wk_auto"></script>`),
    '/snippet': page(
      `${stub};millrace('track','early',{n:1});millrace('init',{key:'wk_snippet',debug:true})`,
      `${script}></script>`,
    ),
    // Flushes every ten seconds: what leaves in time leaves because the page goes.
    '/slow': page(`${stub};millrace('init',{key:'wk_slow',debug:false})`, `${script}></script>`),
  }
  const site = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://site')
    response.setHeader('content-type', 'text/html')
    response.end(pages[pathname] ?? '<!doctype html><title>elsewhere</title>')
  })
  const origin = await listen(site)

  return {
    origin,
    batches,
    requests,
    answers,
    async close() {
      for (const server of [site, collector]) {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      }
    },
  }
}

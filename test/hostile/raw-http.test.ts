/**
 * HTTP as no client library writes it, byte for byte at the socket of the real server: what could be
 * read in two ways (request smuggling), what breaks the grammar, what is too much. Each gets at most
 * one refusal and the connection is closed, or one answer to one request; none reaches the log but
 * those that say so, and a good request on another connection is served after each.
 */
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Campaign, startCampaign } from '../support/account.ts'

let campaign: Campaign
let port: number
beforeAll(async () => {
  campaign = await startCampaign()
  port = Number(new URL(campaign.url).port)
})
afterAll(() => campaign.end())

const BODY = '{"eventType":"raw","timestamp":1574000000000,"path":"/"}'
const WAIT_MS = 1_500

interface Heard {
  readonly statuses: number[]
  readonly isClosed: boolean
}

/** Writes the bytes, listens until the server closes or nothing comes any more. */
function hear(bytes: string): Promise<Heard> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    let isClosed = false
    let timer: NodeJS.Timeout
    const finish = () => {
      clearTimeout(timer)
      socket.destroy()
      const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) =>
        Number(status),
      )
      resolve({ statuses, isClosed })
    }
    timer = setTimeout(finish, WAIT_MS)
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      isClosed = true
      finish()
    })
    socket.on('end', () => socket.end())
    socket.write(Buffer.from(bytes, 'latin1'))
  })
}

const head = (lines: readonly string[], target = `/v1/events?key=${campaign.key}`) =>
  [`POST ${target} HTTP/1.1`, 'Host: a', 'Content-Type: application/json', ...lines, '', ''].join(
    '\r\n',
  )
const SMUGGLED = 'GET /health HTTP/1.1\r\nHost: a\r\n\r\n'

/** Refused with one of these statuses and closed; nothing of it is taken. */
const REFUSED: Record<string, readonly [bytes: () => string, statuses: readonly number[]]> = {
  'Content-Length and Transfer-Encoding': [
    () => `${head(['Content-Length: 4', 'Transfer-Encoding: chunked'])}0\r\n\r\n${SMUGGLED}`,
    [400],
  ],
  'Transfer-Encoding twice': [
    () => `${head(['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'])}0\r\n\r\n`,
    [400],
  ],
  'Transfer-Encoding xchunked': [() => `${head(['Transfer-Encoding: xchunked'])}0\r\n\r\n`, [400]],
  'a blank before the colon': [
    () => `${head(['Transfer-Encoding : chunked', 'Content-Length: 5'])}0\r\n\r\n`,
    [400],
  ],
  'chunked that is not last': [
    () => `${head(['Transfer-Encoding: chunked, identity'])}0\r\n\r\n`,
    [400],
  ],
  'two Content-Lengths': [() => `${head(['Content-Length: 4', 'Content-Length: 5'])}abcde`, [400]],
  'the same Content-Length twice': [
    () => head([`Content-Length: ${BODY.length}`, `Content-Length: ${BODY.length}`]) + BODY,
    [400],
  ],
  'Content-Length +5': [() => `${head(['Content-Length: +5'])}abcde`, [400]],
  'Content-Length 5, 5': [() => `${head(['Content-Length: 5, 5'])}abcde`, [400]],
  'Content-Length -1': [() => head(['Content-Length: -1']), [400]],
  'Content-Length 0x5': [() => `${head(['Content-Length: 0x5'])}abcde`, [400]],
  'Content-Length of 20 digits': [() => head(['Content-Length: 99999999999999999999']), [400, 413]],
  'a chunk extension of 20 KB': [
    () => `${head(['Transfer-Encoding: chunked'])}1;${'a'.repeat(20_000)}\r\nx\r\n0\r\n\r\n`,
    [400, 413, 431],
  ],
  'a chunk size 0x1': [() => `${head(['Transfer-Encoding: chunked'])}0x1\r\nx\r\n0\r\n\r\n`, [400]],
  'a chunk size that overflows': [
    () => `${head(['Transfer-Encoding: chunked'])}FFFFFFFFFFFFFFFFF\r\nx\r\n0\r\n\r\n`,
    [400, 413],
  ],
  'a chunk longer than it says': [
    () => `${head(['Transfer-Encoding: chunked'])}2\r\n${BODY}\r\n0\r\n\r\n`,
    [400],
  ],
  'lines that end in LF alone': [
    () => `POST /v1/events HTTP/1.1\nHost: a\nContent-Length: 0\n\n`,
    [400],
  ],
  'a bare CR in a header': [() => head(['X: a\rY: b', 'Content-Length: 0']), [400]],
  'a folded header': [() => head(['X: a\r\n b', 'Content-Length: 0']), [400]],
  'NUL in a header': [() => head(['X: a\0b', 'Content-Length: 0']), [400]],
  'no Host': [() => `POST /v1/events HTTP/1.1\r\nContent-Length: 0\r\n\r\n`, [400]],
  'two Hosts': [() => head(['Host: b', `Content-Length: ${BODY.length}`]) + BODY, [400]],
  'a header of 20 KB': [() => head([`X: ${'a'.repeat(20_000)}`, 'Content-Length: 0']), [431]],
  '2,200 headers': [
    () => head([...Array.from({ length: 2_200 }, () => 'a: b'), 'Content-Length: 0']),
    [431],
  ],
  'HTTP/1.0 with Transfer-Encoding': [
    () => `${head(['Transfer-Encoding: chunked']).replace('HTTP/1.1', 'HTTP/1.0')}0\r\n\r\n`,
    [400],
  ],
  'HTTP/0.9': [() => 'GET /\r\n\r\n', [400]],
  'the preface of HTTP/2': [() => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
  'HTTP/1.1 in another spelling': [
    () => head(['Content-Length: 0']).replace('HTTP/1.1', 'HTTP/01.1'),
    [400],
  ],
  'no blank after the method': [() => `POST/v1/events HTTP/1.1\r\nHost: a\r\n\r\n`, [400]],
  'a method that is none': [() => 'POST1{} / HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  'a TLS hello': [() => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', [400]],
  'a megabyte of nothing': [() => 'x'.repeat(1_000_000), [400, 431]],
}

/** Understood, and answered once for each request in it. */
const ANSWERED: Record<string, readonly [bytes: () => string, statuses: readonly number[]]> = {
  TRACE: [() => 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', [405]],
  'TRACE at the door': [() => head([]).replace('POST', 'TRACE'), [405]],
  'an expectation that nobody knows': [
    () => head(['Expect: 200-ok', `Content-Length: ${BODY.length}`]) + BODY,
    [417],
  ],
  'three requests at once': [() => SMUGGLED.repeat(3), [200, 200, 200]],
  'a body and a request behind it': [
    () => head([`Content-Length: ${BODY.length}`]) + BODY + SMUGGLED,
    [202, 200],
  ],
  'a chunked body and a request behind it': [
    () =>
      `${head(['Transfer-Encoding: chunked'])}${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n${SMUGGLED}`,
    [202, 200],
  ],
  'a length with zeros before it': [
    () => head([`Content-Length: 000${BODY.length}`]) + BODY,
    [202],
  ],
}

async function expectService(): Promise<void> {
  const { status } = await campaign.post(BODY)
  expect(status).toBe(202)
}

describe('refused, closed, and nobody else notices', () => {
  test.each(Object.entries(REFUSED))('%s', async (_, [bytes, statuses]) => {
    const heard = await hear(bytes())
    expect(heard.statuses.length).toBeLessThanOrEqual(1)
    for (const status of heard.statuses) expect(statuses).toContain(status)
    expect(heard.isClosed).toBe(true)
    await expectService()
  })

  test('CONNECT opens no tunnel', async () => {
    const heard = await hear('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n')
    expect(heard.statuses.filter((status) => status < 400)).toEqual([])
    expect(heard.isClosed).toBe(true)
  })

  test('an absolute target of another host is not served as if it were ours', async () => {
    const heard = await hear('GET http://evil.example/health HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(heard.statuses).toEqual([400])
  })
})

describe('understood', () => {
  test.each(Object.entries(ANSWERED))('%s', async (_, [bytes, statuses]) => {
    const heard = await hear(bytes())
    for (const status of heard.statuses) {
      if (status === 202) campaign.count(202, { accepted: 1, rejected: [], duplicate: false })
    }
    expect(heard.statuses).toEqual(statuses)
    await expectService()
  })
})

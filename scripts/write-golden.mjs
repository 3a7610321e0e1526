/**
 * Writes a small data folder in the current format to test/golden/data-v1.
 *
 *   npm run build && node scripts/write-golden.mjs
 *
 * It is written once for each format version and then kept: every later version must open it
 * (test/system/golden.test.ts). The folder holds a delivered part, an undelivered tail, rejections and an
 * identity; the keys and secrets in it open nothing else.
 */
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  bearerToken,
  readCredentials,
  send,
  sqlRows,
  startServer,
  stopped,
} from '../test/support/server.mjs'

const target = fileURLToPath(new URL('../test/golden/data-v1', import.meta.url))
const folder = await mkdtemp(join(tmpdir(), 'millrace-golden-'))
const data = join(folder, 'data')
const server = await startServer(data, {
  flags: ['--flush-mib', '1', '--lake-bucket', 'millrace-golden'],
})
const credentials = readCredentials(data)
const startMs = Date.parse('2026-11-23T10:00:00Z')

const post = async (batch) => {
  const { status, text } = await send(`${server.url}/v1/events?key=${credentials.writeKey}`, {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(batch),
  })
  if (status !== 202) throw new Error(`${status} ${text}`)
}
const move = (seq) => ({
  eventType: 'pointermove',
  timestamp: startMs + seq * 20,
  path: 'https://shop.example/a?utm_source=golden',
  target: 'main>button',
  data: { clientX: seq % 900, clientY: seq % 500, note: 'x'.repeat(300) },
  seq,
})

for (let batch = 0; batch < 6; batch++) {
  await post({
    batchId: `golden-${batch}`,
    visitorId: 'visitor-1',
    pageId: `page-${batch}`,
    events: Array.from({ length: 400 }, (_, seq) => move(seq)),
  })
}
await post({
  batchId: 'golden-mixed',
  visitorId: 'visitor-1',
  events: [
    move(0),
    { eventType: 'click' },
    {
      eventType: 'identify',
      timestamp: startMs,
      path: '/',
      userId: 'user-1',
      data: { plan: 'pro' },
    },
  ],
})
for (;;) {
  if ((await ledger()).delivered >= 2_400) break
  await new Promise((resolve) => setTimeout(resolve, 250))
}
await post({ batchId: 'golden-tail', visitorId: 'visitor-2', events: [move(1), move(2), move(3)] })
console.log(
  await sqlRows(
    server.url,
    credentials,
    'select count(*), count(distinct batch_id), count(distinct visitor_id) from events',
  ),
)
await stopped(server)
await rm(target, { recursive: true, force: true })
await cp(data, target, { recursive: true })
for (const name of ['tails', 'spool'])
  await rm(join(target, name), { recursive: true, force: true })
await rm(folder, { recursive: true })
console.log(await readdir(target, { recursive: true }))

async function ledger() {
  const token = await bearerToken(server.url, credentials)
  const headers = { Authorization: `Bearer ${token}` }
  const { body } = await send(`${server.url}/v1/ledger`, { method: 'GET', headers })
  return body
}

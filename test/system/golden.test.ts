/**
 * A data folder that version 0.1.0 wrote is opened by this version, whole: lake, tail, rejections,
 * identities, credentials. It is never written anew for the same format (scripts/write-golden.mjs).
 */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readCredentials, send, sqlRows, startServer, stopped } from '../support/server.mjs'

const GOLDEN = fileURLToPath(new URL('../golden/data-v1', import.meta.url))
let folder: string
let server: Awaited<ReturnType<typeof startServer>>
const sql = (text: string) => sqlRows(server.url, readCredentials(server.data), text)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-golden-'))
  await cp(GOLDEN, join(folder, 'data'), { recursive: true })
  server = await startServer(join(folder, 'data'))
})
afterAll(async () => {
  await stopped(server)
  await rm(folder, { recursive: true, force: true })
})

test('every event of the lake and of the tail is there, once', async () => {
  expect(
    await sql(
      'select batch_id, count(*), count(distinct event_index) from events group by 1 order by 1',
    ),
  ).toEqual([
    ...[0, 1, 2, 3, 4, 5].map((batch) => [`golden-${batch}`, 400, 400]),
    ['golden-mixed', 2, 2],
    ['golden-tail', 3, 3],
  ])
  expect(
    await sql(`select event_time, host, path, utm_source, client_x, data->>'note' is not null
      from events where batch_id = 'golden-1' and event_index = 7`),
  ).toEqual([['2026-11-23T10:00:00.140Z', 'shop.example', '/a', 'golden', 7, true]])
})

test('rejections and identities are there', async () => {
  expect(await sql('select code, pointer, raw, event_index from rejections')).toEqual([
    ['missing_field', '/timestamp', '{"eventType":"click"}', 1],
  ])
  expect(await sql('select visitor_id, user_id, traits from identities')).toEqual([
    ['visitor-1', 'user-1', '{"plan":"pro"}'],
  ])
})

test('a batch of then, sent again, is known', async () => {
  const { writeKey } = readCredentials(server.data)
  const event = { eventType: 'click', timestamp: 0, path: '/' }
  const { body } = await send(`${server.url}/v1/events?key=${writeKey}`, {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ batchId: 'golden-0', events: [event] }),
  })
  expect(body).toMatchObject({ duplicate: true, accepted: 400 })
})

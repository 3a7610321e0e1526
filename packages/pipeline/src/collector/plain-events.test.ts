import { DATA_COLUMNS, limits } from '@millrace/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bodyText } from '../../../../test/support/event-bodies.ts'
import { openPlainEvents } from './plain-events.ts'
import { scanBody } from './scan.ts'
import { FIELDS } from './scan-event.ts'
import { JsonFault } from './scan-json.ts'

const TYPICAL =
  '{"eventType":"pointermove","browser":"Mozilla/5.0 (Windows NT 10.0; Win64; x64)",' +
  '"timestamp":"2026-11-15T18:05:00.123Z","path":"/a","target":"main>b:nth-of-type(1)",' +
  '"data":{"clientX":12,"clientY":-1.5,"pointerId":1,"pointerType":"mouse","own":true},' +
  '"visitorId":"abc","sessionId":"déf","seq":7}'
const OTHERS = [
  '{"eventType":"a","timestamp":1763229900000,"path":"/"}',
  '{"eventType": "a", "timestamp": "2026-11-15 18:05:00Z", "data": {}, "seq": 0, "userId": null}',
  '{"timestamp":"2024-02-29T00:00:00Z","eventType":"a","target":"","data":null,"path":"/"}',
  '{"eventType":"a","timestamp":"2026-12-31T00:00:00Z","data":{"x":null,"y":[1],"z":1e3}}',
]

/** Everything that a scan finds, or its fault. */
function scanned(bytes: Buffer, mayRecognise: boolean) {
  try {
    const body = scanBody(bytes, 0, mayRecognise)
    const kept = Math.min(body.eventCount, limits.EVENTS_PER_BATCH_MAX)
    return {
      ...body,
      bounds: [...body.bounds.subarray(0, 2 * kept)],
      notes: [...body.notes.subarray(0, kept)],
      refusals: [...body.refusals],
      members: [...body.members],
    }
  } catch (error) {
    if (error instanceof JsonFault) return error.message
    throw error
  }
}

function isAlike(text: string | Buffer): void {
  const bytes = Buffer.from(text as string)
  const found = scanned(bytes, true)
  const specified = scanned(bytes, false)
  // Comparing texts first: an assertion for each of a hundred thousand is what would take long.
  if (JSON.stringify(found) === JSON.stringify(specified)) return
  expect(found, bytes.toString()).toEqual(specified)
}

describe('the program', () => {
  const plain = openPlainEvents()
  if (plain === undefined) throw new Error('not built: run npm run build')

  const countOf = (text: string) => {
    plain.load(Buffer.from(text))
    return plain.recognise(1, 0)
  }

  test('recognises ordinary events, with the blanks that some writers put', () => {
    expect(countOf(`[${Array(25).fill(TYPICAL).join(',')}]`)).toBe(25)
    expect(countOf(`[${[TYPICAL, ...OTHERS.slice(0, 2)].join(', ')}]`)).toBe(3)
  })

  test('stops at the first event it is not sure of', () => {
    expect(countOf(`[${TYPICAL},${TYPICAL.replace('abc', '\\u0061')},${TYPICAL}]`)).toBe(1)
  })

  test('stops at the limit of a batch', () => {
    const count = limits.EVENTS_PER_BATCH_MAX + 1
    expect(countOf(`[${Array(count).fill(OTHERS[0]).join(',')}]`)).toBe(count - 1)
  })

  test('leaves a body alone that its memory cannot hold', () => {
    expect(plain.load(Buffer.alloc(limits.BODY_BYTES_MAX))).toBe(true)
    expect(plain.load(Buffer.alloc(2 * limits.BODY_BYTES_MAX))).toBe(false)
  })
})

describe('a scan with the program finds what the scan without it finds', () => {
  test('in bodies of all kinds', () => {
    fc.assert(fc.property(bodyText, isAlike), { numRuns: 5_000 })
  })

  test('in a typical body with any byte changed or cut', () => {
    const text = Buffer.from(`[${OTHERS[0]},${TYPICAL},${OTHERS[1]}]`)
    for (let at = 0; at < text.length; at++) {
      isAlike(Buffer.concat([text.subarray(0, at), text.subarray(at + 1)]))
      isAlike(text.subarray(0, at))
      for (const character of '{}[]",:\\ntfu0 9-.eEZT_\u0000\u007f\n') {
        const changed = Buffer.from(text)
        changed[at] = character.charCodeAt(0)
        isAlike(changed)
      }
    }
  })

  test.each(FIELDS.map(({ name }) => name))('whatever the value of %s is', (name) => {
    const lengths = [0, 1, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1_024, 1_025, 2_048, 2_049]
    const values = [
      ...lengths.flatMap((length) => [`"${'a'.repeat(length)}"`, `"${'é'.repeat(length)}"`]),
      ...['null', 'true', '{}', '[]', '{"a":1}', '{"measure":false}', '"\\n"', '"\u007f"'],
      ...['0', '-0', '00', '1', '-1', '1.5', '1e3', '999999999', '2147483647', '2147483648'],
      ...['9999999999999', '253402300799999', '253402300800000'],
      ...['"2026-02-29T00:00:00Z"', '"2026-04-31T00:00:00Z"', '"2026-11-15T24:00:00Z"'],
      ...['"2026-11-15T18:60:00Z"', '"2026-11-15T18:05:60Z"', '"1970-01-01T00:00:00Z"'],
      ...['"2026-11-15T18:05:00.1Z"', '"2026-11-15T18:05:00+00:00"', '"2026-00-15T18:05:00Z"'],
    ]
    for (const value of values) {
      const others = Object.entries({ eventType: '"a"', timestamp: '0', path: '"/"' })
      const members = others.filter(([key]) => key !== name).map(([key, one]) => `"${key}":${one}`)
      isAlike(`[{${[...members, `"${name}":${value}`].join(',')}}]`)
      isAlike(`[{"${name}":${value}}]`)
      isAlike(`[{${[...members, `"${name}":${value}`, `"${name}":${value}`].join(',')}}]`)
    }
  })

  test.each([...Object.keys(DATA_COLUMNS), 'own', '__proto__', '_a'])(
    'whatever the value of %s in data is',
    (name) => {
      const numbers = ['0', '-0', '01', '-', '1.', '1.50', '1e5', '123456789', '-2147483648']
      const large = ['2147483648', '123456789012345', '1234567890123456', `0.${'1'.repeat(40)}`]
      const other = ['""', '"a"', '"\\t"', '"\u007f"', 'null', 'nul', 'true', 'false', '{}', '[1]']
      for (const value of [...numbers, ...large, ...other]) {
        for (const end of ['', ' ', ',"a":1', `,"${name}":1`, ',', ']']) {
          isAlike(`[{"eventType":"a","timestamp":0,"path":"/","data":{"${name}":${value}${end}}}]`)
        }
      }
    },
  )

  test('in data with more members than an object may have', () => {
    const members = Array.from({ length: 300 }, (_, at) => `"k${at}":${at}`)
    for (const count of [1, 63, 64, 65, 200, 201, 300]) {
      const data = members.slice(0, count).join(',')
      isAlike(`[{"eventType":"a","timestamp":0,"path":"/","data":{${data}}}]`)
    }
  })
})

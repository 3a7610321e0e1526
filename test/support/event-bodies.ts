/**
 * Request bodies for differential tests, and a reference that judges their events slowly and plainly:
 * JSON.parse for the grammar, the typebox schema for the shape, a tree of the text for what neither
 * sees (repeated members, how a number is written, depth).
 */
import { DATA_COLUMNS, Event, limits, parseTimestamp } from '@millrace/protocol'
import fc from 'fast-check'
import { Value } from 'typebox/value'

export interface Node {
  readonly text: string
  readonly members?: readonly (readonly [string, Node])[]
  readonly elements?: readonly Node[]
}

/** The tree of a text that JSON.parse has accepted. */
export function treeOf(source: string): Node {
  let i = 0
  const blanks = () => {
    while (' \n\r\t'.includes(source[i] ?? 'x')) i++
  }
  const string = (): string => {
    const start = i++
    for (; source[i] !== '"'; i++) if (source[i] === '\\') i++
    i++
    return source.slice(start, i)
  }
  const value = (): Node => {
    blanks()
    const start = i
    const opening = source[i]
    if (opening === '"') return { text: string() }
    if (opening !== '{' && opening !== '[') {
      while (i < source.length && !',]} \n\r\t'.includes(source[i]!)) i++
      return { text: source.slice(start, i) }
    }
    const members: (readonly [string, Node])[] = []
    const elements: Node[] = []
    i++
    blanks()
    while (source[i] !== '}' && source[i] !== ']') {
      if (opening === '{') {
        const key = JSON.parse(string()) as string
        blanks()
        i++
        members.push([key, value()])
      } else elements.push(value())
      blanks()
      if (source[i] === ',') i++
      blanks()
    }
    i++
    const text = source.slice(start, i)
    return opening === '{' ? { text, members } : { text, elements }
  }
  return value()
}

const isBroken = (text: string) => /\p{Surrogate}/u.test(text)

/** The rules that hold anywhere inside an event. */
function holdsEverywhere(node: Node, depth: number): boolean {
  const { members, elements } = node
  if (members === undefined && elements === undefined) {
    if (node.text.startsWith('"')) return !isBroken(JSON.parse(node.text) as string)
    return !/^[-\d]/.test(node.text) || Number.isFinite(Number(node.text))
  }
  if (depth > limits.DEPTH_MAX) return false
  if (elements !== undefined) return elements.every((one) => holdsEverywhere(one, depth + 1))
  if (members!.length > limits.KEYS_PER_OBJECT_MAX) return false
  return members!.every(
    ([key, one]) => key !== '__proto__' && !isBroken(key) && holdsEverywhere(one, depth + 1),
  )
}

const isUnique = (names: readonly string[]) => new Set(names).size === names.length

/** Whether an event of this text is accepted, outside any envelope. */
export function isAcceptable(node: Node): boolean {
  const { members } = node
  if (members === undefined || !holdsEverywhere(node, 0)) return false
  if (Buffer.byteLength(node.text) > limits.EVENT_BYTES_MAX) return false
  if (!isUnique(members.map(([key]) => key))) return false
  const value = JSON.parse(node.text) as Event
  if (!Value.Check(Event, value) || parseTimestamp(value.timestamp) === undefined) return false
  const member = (name: string) => members.find(([key]) => key === name)?.[1]
  for (const name of ['timestamp', 'seq']) {
    const text = member(name)?.text ?? 'null'
    if (!/^(\d+|null|".*")$/s.test(text)) return false
  }
  const columns = (member('data')?.members ?? []).filter(([key]) => key in DATA_COLUMNS)
  if (!isUnique(columns.map(([key]) => key))) return false
  if (!isUnique((member('consent')?.members ?? []).map(([key]) => key))) return false
  return value.consent?.measure !== false
}

/** Texts that JSON readers disagree on, as values inside `data`. */
export const NASTY_VALUES: readonly string[] = [
  '"a\\u0000b"',
  '"\u2028\u2029"',
  '"\\ud83d\\ude00 😀 \\uDBFF\\uDFFF"',
  '"\u007f\ufeff\uffff"',
  '-0',
  '-0.0',
  '0e0',
  '1E+2',
  '1e-400',
  '1.7976931348623157e308',
  '5e-324',
  '0.1e1',
  '123456789012345',
  '1234567890123456',
  '18446744073709551615',
  '18446744073709551616',
  '-9223372036854775809',
  '123456789012345678901234567890',
  `1${'0'.repeat(299)}`,
  `0.${'1'.repeat(4_000)}`,
  '[]',
  '{}',
  '[[],{},[{}]]',
  '{"":{"":[]}}',
  '{"a":1,"a":{"b":2}}',
  `${'['.repeat(15)}${']'.repeat(15)}`,
  `{"${'k'.repeat(10_000)}":1}`,
  `"${'é'.repeat(9_000)}"`,
  '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
  'null',
  'true',
  '[null,false]',
  '{"a\\u0000":1}',
  '"{\\"a\\":[1,"',
  '1e400',
  '-1e400',
  '"\\ud800"',
  '{"\\udc00":1}',
  '{"__proto__":1}',
  `${'['.repeat(17)}${']'.repeat(17)}`,
]

const pick = (...values: string[]) => fc.constantFrom(...values)
const string = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }).map((text) => JSON.stringify(text)),
  fc
    .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 20 })
    .map((text) => JSON.stringify(text)),
)
const anything = fc.oneof(fc.json({ maxDepth: 3 }), pick(...NASTY_VALUES), string)
const dataKey = fc.oneof(
  fc.constantFrom(...Object.keys(DATA_COLUMNS)),
  fc.constantFrom('x', '', 'clientx', 'client\\u0058'),
  string.map((text) => text.slice(1, -1)),
)
const object = (key: fc.Arbitrary<string>, value: fc.Arbitrary<string>) =>
  fc
    .array(fc.tuple(key, value), { maxLength: 5 })
    .map((members) => `{${members.map(([name, one]) => `"${name}":${one}`).join(',')}}`)
const data = object(
  dataKey,
  fc.oneof(
    fc.integer().map(String),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => JSON.stringify(n)),
    anything,
  ),
)

const two = (max: number) => fc.integer({ min: 0, max }).map((n) => String(n).padStart(2, '0'))
/** Mostly good times, and near misses. */
export const time: fc.Arbitrary<string> = fc
  .tuple(
    pick('1969', '1970', '1970', '1999', '2000', '2019', '2024', '2100', '9999'),
    two(13),
    two(31),
    pick('T', ' ', 't'),
    two(24),
    two(60),
    two(60),
    pick('', '', '.1', '.123', '.123456789', '.1234567890', '.'),
    pick(
      'Z',
      'Z',
      '+00:00',
      '+02:00',
      '-03:30',
      '+14:00',
      '+14:01',
      '-14:00',
      'z',
      '',
      '+0200',
      '+1:00',
    ),
  )
  .map(([y, mo, d, t, h, mi, s, f, z]) => `${y}-${mo}-${d}${t}${h}:${mi}:${s}${f}${z}`)
const goodTime = fc
  .date({ min: new Date(0), max: new Date('9999-12-30T00:00:00Z'), noInvalidDate: true })
  .chain((date) =>
    pick(date.toISOString(), `${date.toISOString().slice(0, 19).replace('T', ' ')}Z`),
  )
const epoch = fc.oneof(
  fc.maxSafeNat().map(String),
  pick('0', '-0', '-1', '253402300799999', '253402300800000', '1.0', '1e3'),
)
const timestamp = fc.oneof(
  { weight: 8, arbitrary: goodTime.map((text) => `"${text}"`) },
  { weight: 1, arbitrary: time.map((text) => `"${text}"`) },
  { weight: 1, arbitrary: epoch },
)
const rarely = (usual: fc.Arbitrary<string>) =>
  fc.oneof({ weight: 15, arbitrary: usual }, { weight: 1, arbitrary: anything })
const name = pick('"a"', '"pointermove"', '"é"', '"\\u0041"', '"a/b~c"', '"😀"')
const consent = object(pick('measure', 'profile', 'personalize'), pick('true', 'true', 'false'))

/** The text of one event, mostly good. */
export const eventText: fc.Arbitrary<string> = fc
  .tuple(
    fc.tuple(
      rarely(name),
      rarely(timestamp),
      rarely(pick('"/"', '"https://a.example/b?c=d"', '"/\\u0000"')),
    ),
    fc.array(
      fc.oneof(
        fc.tuple(pick('data'), rarely(data)),
        fc.tuple(pick('browser', 'target'), rarely(string)),
        fc.tuple(
          pick('eventId', 'visitorId', 'userId', 'sessionId', 'pageId', 'page\\u0049d'),
          rarely(name),
        ),
        fc.tuple(
          pick('seq'),
          rarely(pick('0', '7', '2147483647', '2147483648', '-0', '1.0', 'null')),
        ),
        fc.tuple(pick('consent'), rarely(consent)),
      ),
      { maxLength: 4 },
    ),
    pick(':', ' : ', ':\n\t'),
  )
  .map(([required, others, colon]) => {
    const members = [
      ['eventType', required[0]],
      ['timestamp', required[1]],
      ['path', required[2]],
      ...others,
    ]
    return `{${members.map(([key, value]) => `"${key}"${colon}${value}`).join(', ')}}`
  })

/** An array of events with a few mutated bytes in some. */
export const bodyText: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(fc.oneof({ weight: 12, arbitrary: eventText }, { weight: 1, arbitrary: anything }), {
      maxLength: 6,
    }),
    fc.array(
      fc.tuple(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom(...'{}[]",:\\ntfu0-.eE \u0001x1'),
      ),
      { maxLength: 2 },
    ),
    fc.boolean(),
  )
  .map(([events, changes, isMutated]) => {
    let text = `[${events.join(',\n')}]`
    if (!isMutated) return text
    for (const [where, character] of changes) {
      const at = Math.floor(where * (text.length - 1))
      text = text.slice(0, at) + character + text.slice(at + 1)
    }
    return text
  })

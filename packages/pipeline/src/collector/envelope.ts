/**
 * The members of an envelope beside its events: checked by the rules of the events' own members, and
 * turned into the record's defaults.
 *
 * An envelope's fault is the whole batch's: nothing is taken, and the answer names the member. Values
 * become defaults as the bytes that came, since they have been checked as such.
 */
import { BATCH_ID_PATTERN, limits, type Problem, parseTimestamp, problem } from '@millrace/protocol'
import { cut, explainRefusal, pointerOf } from './explain.ts'
import { ENVELOPE_NAMES, type EnvelopeMember } from './scan.ts'
import { createFacts, FIELDS, type Field, scanField } from './scan-event.ts'
import * as json from './scan-json.ts'

export interface EnvelopeFacts {
  readonly batchId: string | undefined
  readonly sentMs: number | null
  readonly key: string | undefined
  readonly historical: boolean
  /** JSON object text of the members that are defaults and not null. */
  readonly defaults: string
  readonly hasPath: boolean
  readonly measureRefused: boolean
}

export const NO_ENVELOPE: EnvelopeFacts = {
  batchId: undefined,
  sentMs: null,
  key: undefined,
  historical: false,
  defaults: '{}',
  hasPath: false,
  measureRefused: false,
}

/** An unknown member's name in an answer, in characters. */
const NAME_LENGTH_MAX = 80
const BATCH_ID = new RegExp(BATCH_ID_PATTERN)

const fieldOf = (name: string): Field => FIELDS.find((field) => field.name === name)!

/** What each member is checked as. `historical`, `events` and `packed` have no like among an event's members. */
const RULES = new Map<string, Field>([
  ['batchId', { ...fieldOf('eventId'), mayBeNull: false }],
  ['sentAt', fieldOf('timestamp')],
  ['key', { ...fieldOf('path'), lengthMax: limits.ID_LENGTH_MAX, mayBeEmpty: true }],
])
/** The order in which defaults are written. */
const DEFAULTS = ['browser', 'path', 'visitorId', 'userId', 'sessionId', 'pageId', 'consent']
for (const name of DEFAULTS) RULES.set(name, fieldOf(name))

const scan = json.createScan()
const facts = createFacts()

export function readEnvelope(
  bytes: Uint8Array,
  members: readonly EnvelopeMember[],
): EnvelopeFacts | Problem {
  const values = new Map<string, EnvelopeMember>()
  const seen = new Set<string>()
  scan.bytes = bytes
  facts.measureRefused = false
  for (const member of members) {
    const fault = checkMember(bytes, member, seen)
    if (fault !== undefined) return fault
    seen.add(nameOf(member))
    if (bytes[member.start] !== json.LETTER_N) values.set(nameOf(member), member)
  }
  const textOf = (name: string): string | undefined => {
    const member = values.get(name)
    return member && json.text(bytes, member.start, member.end)
  }
  const parse = (name: string): unknown => {
    const value = textOf(name)
    return value === undefined ? undefined : JSON.parse(value)
  }
  const defaults = DEFAULTS.flatMap((name) => {
    const value = textOf(name)
    return value === undefined ? [] : [`"${name}":${value.replace(/[\n\r\t]/g, ' ')}`]
  })
  const sentAt = parse('sentAt') as string | number | undefined
  return {
    batchId: parse('batchId') as string | undefined,
    sentMs: sentAt === undefined ? null : parseTimestamp(sentAt)!,
    key: parse('key') as string | undefined,
    historical: textOf('historical') === 'true',
    defaults: `{${defaults.join(',')}}`,
    hasPath: values.has('path'),
    measureRefused: facts.measureRefused,
  }
}

function nameOf(member: EnvelopeMember): string {
  return ENVELOPE_NAMES[member.index] ?? ''
}

function checkMember(
  bytes: Uint8Array,
  member: EnvelopeMember,
  before: ReadonlySet<string>,
): Problem | undefined {
  const name = nameOf(member)
  const first = bytes[member.start]
  if (member.index < 0) return explainUnknown(bytes, member)
  if (before.has(name)) return invalid(name, `${name} is given twice`)
  if (name === 'events') {
    const isArray = first === json.OPEN_BRACKET
    return invalid(name, isArray ? 'events is given twice' : 'events must be an array')
  }
  if (name === 'packed') {
    const isObject = first === json.OPEN_BRACE
    return invalid(name, isObject ? 'packed is given twice' : 'packed must be an object')
  }
  if (name === 'historical') {
    const isBoolean = first === json.LETTER_T || first === json.LETTER_F
    return isBoolean ? undefined : invalid(name, 'historical must be true or false')
  }
  scan.code = undefined
  scanField(scan, facts, RULES.get(name)!, member.start)
  if (scan.code !== undefined) {
    const refusal = { code: scan.code, at: scan.at }
    const { pointer, detail } = explainRefusal(bytes, member.start, member.end, refusal, [name])
    return problem('invalid_envelope', detail, { pointer })
  }
  if (name !== 'batchId') return undefined
  const batchId = json.unescaped(bytes, member.start + 1, member.end - 1)
  if (BATCH_ID.test(batchId)) return undefined
  return invalid(
    name,
    `batchId ${JSON.stringify(batchId)} holds other characters than A-Z a-z 0-9 . _ : -`,
  )
}

function invalid(name: string, detail: string): Problem {
  return problem('invalid_envelope', detail, { pointer: `/${name}` })
}

function explainUnknown(bytes: Uint8Array, member: EnvelopeMember): Problem {
  scan.bytes = bytes
  json.scanKey(scan, member.keyStart)
  const name = json.unescaped(bytes, scan.keyStart, scan.keyEnd)
  const detail = `${cut(JSON.stringify(name), NAME_LENGTH_MAX)} is no member of an envelope; they are ${ENVELOPE_NAMES.join(', ')}`
  return problem('invalid_envelope', detail, { pointer: pointerOf([name]) })
}

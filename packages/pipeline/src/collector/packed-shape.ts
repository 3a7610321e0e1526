/**
 * Packed columns that were not recognised, read slowly: the words for what is wrong with their shape,
 * or their parts, to be unpacked.
 *
 * A fault of the shape (a column of another length, a number out of its range) is the sender's
 * program's: nobody can tell which event a number belongs to, so the batch is refused whole. A text
 * or an entry of `data` that breaks its rules can come from a page or a person; those parts are given
 * as the bytes that came, so that they are judged in the events that hold them (unpack-batch.ts).
 */
import { limits, type Problem, problem } from '@millrace/protocol'
import { cut, pointerOf, quote } from './explain.ts'
import { ALL_NAMES, PACKED_NAMES } from './packed-columns.ts'
import * as json from './scan-json.ts'

/** The columns' parts, texts and numbers as JSON text. */
export interface PackedParts {
  readonly eventCount: number
  readonly t0: number
  readonly seq: number | undefined
  readonly types: readonly string[]
  readonly targets: readonly string[]
  /** `t`, `type`, `target`, `x`, `y`, `offsetX`, `offsetY`, as far as given. */
  readonly columns: ReadonlyMap<string, readonly string[]>
  readonly all: ReadonlyMap<string, string>
  /** By the event's place. */
  readonly data: ReadonlyMap<string, string>
}

const NAME_LENGTH_MAX = 80
const WHOLE = /^(?:0|[1-9]\d*)$/
const PLACE = /^(?:0|[1-9]\d{0,3})$/
const SIGNED = /^(?:0|-?[1-9]\d*)$/
const COORDINATES = ['x', 'y', 'offsetX', 'offsetY']
const REQUIRED = ['t0', 'types', 't']

/** A fault, thrown inside this file. */
class ShapeFault extends Error {
  readonly path: readonly (string | number)[]

  constructor(path: readonly (string | number)[], detail: string) {
    super(detail)
    this.path = path
  }
}

/** Of the object at `start`, whose grammar is known to be good. */
export function readPacked(bytes: Uint8Array, start: number): PackedParts | Problem {
  try {
    return partsOf(bytes, start)
  } catch (fault) {
    if (!(fault instanceof ShapeFault)) throw fault
    const pointer = pointerOf(['packed', ...fault.path])
    if (fault.path[0] !== 'v') return problem('invalid_envelope', fault.message, { pointer })
    const hint = 'Update the server, or send the events as objects.'
    return problem('invalid_envelope', fault.message, { pointer, hint })
  }
}

function partsOf(bytes: Uint8Array, start: number): PackedParts | Problem {
  const members = membersOf(bytes, start, [])
  // Another version may have other members: it is the first thing to be said.
  const version = members.get('v')
  if (version !== '1') {
    throw new ShapeFault(['v'], `packed.v is ${shown(version)}: this server knows version 1`)
  }
  refuseUnknown(members, PACKED_NAMES, [])
  for (const name of REQUIRED) {
    if (!members.has(name)) throw new ShapeFault([name], `packed.${name} is missing`)
  }
  const t0 = wholeOf(members, 't0', limits.EPOCH_MAX_MS)!
  const seq = wholeOf(members, 'seq', limits.INTEGER_MAX)
  const types = textsOf(members, 'types', 1, limits.PACKED_TYPES_MAX)
  const targets = textsOf(members, 'targets', 0, limits.PACKED_TARGETS_MAX)
  const columns = new Map<string, readonly string[]>()
  const t = elementsOf(members.get('t')!, 't')
  const eventCount = t.length
  if (eventCount === 0) throw new ShapeFault(['t'], 'packed.t is empty')
  if (eventCount > limits.PACKED_EVENTS_MAX) {
    const detail = `${eventCount} packed events: at most ${limits.PACKED_EVENTS_MAX} in a batch`
    return problem('too_many_events', detail)
  }
  const add = (name: string, isGood: (element: string) => boolean, expected: string) => {
    const text = members.get(name)
    if (text === undefined) return
    const elements = elementsOf(text, name)
    if (elements.length !== eventCount) {
      throw new ShapeFault([name], `${name} has ${elements.length} elements, t has ${eventCount}`)
    }
    const bad = elements.findIndex((element) => !isGood(element))
    if (bad >= 0)
      throw new ShapeFault([name, bad], notA(`${name}/${bad}`, elements[bad]!, expected))
    columns.set(name, elements)
  }
  const whole = (name: string, least: number, most: number) =>
    add(name, (text) => isWhole(text, least, most), `a whole number from ${least} to ${most}`)
  whole('t', 0, limits.PACKED_SPAN_MAX_MS)
  whole('type', 0, types.length - 1)
  whole('target', -1, targets.length - 1)
  for (const name of COORDINATES) {
    add(name, (text) => text === 'null' || isCoordinate(text), `${COORDINATE} or null`)
  }
  const all = allOf(members.get('all'))
  return { eventCount, t0, seq, types, targets, columns, all, data: dataOf(members, eventCount) }
}

const COORDINATE = `a number within ±${limits.COORDINATE_MAX}`

function allOf(text: string | undefined): ReadonlyMap<string, string> {
  if (text === undefined) return new Map()
  const all = objectOf(text, ['all'])
  refuseUnknown(all, ALL_NAMES, ['all'])
  const check = (name: string, isGood: (value: string) => boolean, expected: string) => {
    const value = all.get(name)
    if (value === undefined || isGood(value)) return
    throw new ShapeFault(['all', name], notA(`all.${name}`, value, expected))
  }
  check('offsetX', isCoordinate, COORDINATE)
  check('offsetY', isCoordinate, COORDINATE)
  const { INTEGER_MAX, POINTER_TYPE_LENGTH_MAX } = limits
  const isId = (value: string) => SIGNED.test(value) && Math.abs(Number(value)) <= INTEGER_MAX
  check('pointerId', isId, 'a whole number of 32 bits')
  const isType = (value: string) =>
    value.startsWith('"') && (JSON.parse(value) as string).length <= POINTER_TYPE_LENGTH_MAX
  check('pointerType', isType, `a text of at most ${POINTER_TYPE_LENGTH_MAX} characters`)
  return all
}

function dataOf(members: ReadonlyMap<string, string>, eventCount: number) {
  const text = members.get('data')
  if (text === undefined) return new Map<string, string>()
  const data = objectOf(text, ['data'])
  for (const place of data.keys()) {
    if (PLACE.test(place) && Number(place) < eventCount) continue
    const detail = `${shown(JSON.stringify(place))} in data is no place of an event: 0 to ${eventCount - 1}`
    throw new ShapeFault(['data', place], detail)
  }
  return data
}

function wholeOf(members: ReadonlyMap<string, string>, name: string, most: number) {
  const text = members.get(name)
  if (text === undefined) return undefined
  if (isWhole(text, 0, most)) return Number(text)
  throw new ShapeFault([name], notA(name, text, `a whole number from 0 to ${most}`))
}

function textsOf(
  members: ReadonlyMap<string, string>,
  name: string,
  least: number,
  most: number,
): readonly string[] {
  const text = members.get(name)
  if (text === undefined) return []
  const texts = elementsOf(text, name)
  if (texts.length < least || texts.length > most) {
    throw new ShapeFault([name], `${name} has ${texts.length} elements: ${least} to ${most}`)
  }
  const bad = texts.findIndex((one) => !one.startsWith('"'))
  if (bad < 0) return texts
  throw new ShapeFault([name, bad], notA(`${name}/${bad}`, texts[bad]!, 'a text'))
}

function isWhole(text: string, least: number, most: number): boolean {
  return (least < 0 && text === '-1') || (WHOLE.test(text) && Number(text) <= most)
}

function isCoordinate(text: string): boolean {
  return /^[-\d]/.test(text) && Math.abs(Number(text)) <= limits.COORDINATE_MAX
}

function notA(where: string, found: string, expected: string): string {
  return `${where} is ${shown(found)}: ${expected} is expected (whole numbers as plain digits)`
}

function shown(text: string | undefined): string {
  return text === undefined ? 'missing' : quote(Buffer.from(text), 0, Buffer.byteLength(text))
}

function refuseUnknown(
  members: ReadonlyMap<string, string>,
  names: readonly string[],
  under: readonly string[],
): void {
  for (const name of members.keys()) {
    if (names.includes(name)) continue
    const found = cut(JSON.stringify(name), NAME_LENGTH_MAX)
    const where = ['packed', ...under].join('.')
    throw new ShapeFault(
      [...under, name],
      `${found} is no member of ${where}; they are ${names.join(', ')}`,
    )
  }
}

function objectOf(text: string, path: readonly string[]): Map<string, string> {
  if (!text.startsWith('{')) throw new ShapeFault(path, notA(path.join('.'), text, 'an object'))
  return membersOf(Buffer.from(text), 0, path)
}

/** An object's members, by name, as JSON text. */
function membersOf(bytes: Uint8Array, start: number, path: readonly string[]): Map<string, string> {
  const scan = json.createScan()
  scan.bytes = bytes
  const members = new Map<string, string>()
  let i = json.skipBlanks(bytes, start + 1)
  while (bytes[i] !== json.CLOSE_BRACE) {
    const value = json.scanKey(scan, i)
    const name = json.unescaped(bytes, scan.keyStart, scan.keyEnd)
    if (members.has(name)) {
      const shownName = cut([...path, name].join('.'), NAME_LENGTH_MAX)
      throw new ShapeFault([...path, name], `${shownName} is given twice`)
    }
    i = json.scanValue(scan, value, 0)
    members.set(name, json.text(bytes, value, i))
    i = json.nextMember(bytes, i)
  }
  return members
}

/** An array's elements as JSON text. */
function elementsOf(text: string, name: string): string[] {
  if (!text.startsWith('[')) throw new ShapeFault([name], notA(name, text, 'an array'))
  const bytes = Buffer.from(text)
  const scan = json.createScan()
  scan.bytes = bytes
  const elements: string[] = []
  let i = json.skipBlanks(bytes, 1)
  while (bytes[i] !== json.CLOSE_BRACKET) {
    const end = json.scanValue(scan, i, 0)
    elements.push(json.text(bytes, i, end))
    i = json.nextElement(bytes, end)
  }
  return elements
}

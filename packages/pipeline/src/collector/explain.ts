/**
 * Words for what the scanner refused: a pointer, the values, the rule. Only refused bodies and events
 * come here, so strings may be made.
 */
import {
  Event,
  limits,
  type Problem,
  problem,
  REJECTIONS,
  type RejectionCode,
} from '@millrace/protocol'
import type { Refusal } from './scan.ts'
import * as json from './scan-json.ts'
import {
  createScan,
  type JsonFault,
  nextElement,
  nextMember,
  scanKey,
  scanValue,
} from './scan-json.ts'

/** A rejection's text, and the value quoted in it, in characters. */
const DETAIL_LENGTH_MAX = 200
const QUOTED_LENGTH_MAX = 80

/** The refused member: its path inside the event, and the value's bytes. */
interface Place {
  readonly path: readonly (string | number)[]
  /** The key itself is to blame, not its value. */
  readonly inKey: boolean
  readonly start: number
  readonly end: number
}

/** Cuts at `lengthMax` characters, never inside a surrogate pair. */
export function cut(value: string, lengthMax: number): string {
  if (value.length <= lengthMax) return value
  const last = value.charCodeAt(lengthMax - 1)
  return value.slice(0, last >= 0xd800 && last <= 0xdbff ? lengthMax - 1 : lengthMax)
}

/** `unexpected "}" at byte 118 (line 4, column 2): expected …` */
export function explainFault(bytes: Uint8Array, fault: JsonFault, from: number): Problem {
  const { position, expected } = fault
  if (json.skipBlanks(bytes, from) >= bytes.length)
    return problem('malformed_json', 'the body is empty')
  let line = 1
  let lineStart = from
  for (let i = from; i < position; i++) {
    if (bytes[i] !== 0x0a) continue
    line++
    lineStart = i + 1
  }
  const found = foundAt(bytes, position)
  const column = json.text(bytes, lineStart, position).length + 1
  const place = `byte ${position} (line ${line}, column ${column})`
  return problem('malformed_json', `unexpected ${found} at ${place}: expected ${expected}`)
}

function foundAt(bytes: Uint8Array, position: number): string {
  if (position >= bytes.length) return 'end of the body'
  const rest = json.text(bytes, position, Math.min(position + 4, bytes.length))
  return JSON.stringify(String.fromCodePoint(rest.codePointAt(0) ?? 0xfffd))
}

/** Pointer and detail of a refused value that stands at `start`; `under` is the path to it. */
export function explainRefusal(
  bytes: Uint8Array,
  start: number,
  end: number,
  refusal: Refusal,
  under: readonly string[] = [],
): { readonly pointer: string; readonly detail: string } {
  const { code } = refusal
  if (code === 'missing_field') return explainMissing(bytes, start)
  const place = locate(bytes, start, refusal.at)
  // The container is to blame where a key is one too many, and where it cannot be written down.
  const isContainer = code === 'too_many_keys' || (code === 'lone_surrogate' && place.inKey)
  const path = [...under, ...place.path.slice(0, isContainer ? -1 : place.path.length)]
  const detail = `${path.join('.')} ${valuesOf(bytes, place, code, end - start)}`
    .replace(/^ (: )?/, '')
    .replace(' : ', ': ')
  return { pointer: pointerOf(path), detail: cut(detail, DETAIL_LENGTH_MAX) }
}

function explainMissing(bytes: Uint8Array, start: number): { pointer: string; detail: string } {
  const keys = new Set(keysOf(bytes, start))
  const missing = Event.required.filter((name) => !keys.has(name))
  const verb = missing.length === 1 ? 'is' : 'are'
  const detail = `${missing.join(', ')} ${verb} missing: ${REJECTIONS.missing_field}`
  return { pointer: pointerOf(missing.slice(0, 1)), detail }
}

/** RFC 6901. */
export function pointerOf(path: readonly (string | number)[]): string {
  const tokens = path.map((token) => String(token).replaceAll('~', '~0').replaceAll('/', '~1'))
  const pointer = tokens.map((token) => `/${token}`).join('')
  return cut(wellFormed(pointer), limits.PATH_LENGTH_MAX)
}

function wellFormed(value: string): string {
  return value.replace(/\p{Surrogate}/gu, '\ufffd')
}

/** The values of this case, with the rule. */
function valuesOf(bytes: Uint8Array, place: Place, code: RejectionCode, size: number): string {
  const quoted = quote(bytes, place.start, place.end)
  switch (code) {
    case 'event_too_large':
      return `the event has ${size} bytes: ${REJECTIONS[code]}`
    case 'too_long':
      return `has ${lengthOf(bytes, place)} characters, more than allowed: ${quoted}`
    case 'wrong_type':
    case 'bad_timestamp':
    case 'not_an_object':
    case 'number_out_of_range':
    case 'control_character':
      return `${quoted}: ${REJECTIONS[code]}`
    default:
      return `: ${REJECTIONS[code]}`
  }
}

function lengthOf(bytes: Uint8Array, place: Place): number {
  return json.unescaped(bytes, place.start + 1, place.end - 1).length
}

/** A value as it stands there, cut. */
export function quote(bytes: Uint8Array, start: number, end: number): string {
  const whole = textUpTo(bytes, start, end, QUOTED_LENGTH_MAX + 1)
  return whole.length > QUOTED_LENGTH_MAX ? `${cut(whole, QUOTED_LENGTH_MAX)}…` : whole
}

/** Up to `lengthMax` characters of [start, end), without decoding more than they need. */
export function textUpTo(bytes: Uint8Array, start: number, end: number, lengthMax: number): string {
  // At most three bytes make one UTF-16 code unit; one character more, so that none is cut in half.
  return cut(json.text(bytes, start, Math.min(end, start + 3 * lengthMax + 4)), lengthMax)
}

/** Names of an object's members, in order. */
function keysOf(bytes: Uint8Array, start: number): string[] {
  const scan = createScan()
  scan.bytes = bytes
  const keys: string[] = []
  let i = json.skipBlanks(bytes, start + 1)
  while (bytes[i] !== json.CLOSE_BRACE) {
    const value = scanKey(scan, i)
    keys.push(json.unescaped(bytes, scan.keyStart, scan.keyEnd))
    i = nextMember(bytes, scanValue(scan, value, 0))
  }
  return keys
}

/** Finds the member at position `at` inside the value at `start`, whose grammar is known to be good. */
function locate(bytes: Uint8Array, start: number, at: number): Place {
  const scan = createScan()
  scan.bytes = bytes
  const path: (string | number)[] = []
  let value = start
  for (;;) {
    const end = scanValue(scan, value, 0)
    if (at <= value) return { path, inKey: false, start: value, end }
    const isObject = bytes[value] === json.OPEN_BRACE
    if (!isObject && bytes[value] !== json.OPEN_BRACKET) {
      return { path, inKey: false, start: value, end }
    }
    let i = json.skipBlanks(bytes, value + 1)
    for (let index = 0; ; index++) {
      const member = isObject ? scanKey(scan, i) : i
      const name = isObject ? json.unescaped(bytes, scan.keyStart, scan.keyEnd) : index
      const memberEnd = scanValue(scan, member, 0)
      if (at < memberEnd) {
        path.push(name)
        if (at < member) return { path, inKey: true, start: member, end: memberEnd }
        value = member
        break
      }
      i = isObject ? nextMember(bytes, memberEnd) : nextElement(bytes, memberEnd)
    }
  }
}

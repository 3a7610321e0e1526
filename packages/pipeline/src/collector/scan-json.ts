/**
 * JSON's grammar (RFC 8259) over bytes: where does this value end, and is it JSON at all?
 *
 * The hot path of the collector. Nothing is built from what is read: each function takes the position
 * of a token and gives the position after it; what later checks need to know about the token stands
 * in `Scan`. Broken grammar throws a `JsonFault`, since nothing of such a body can be taken. What is
 * JSON but not acceptable in an event (half a surrogate pair, nesting too deep …) is noted by
 * `refuse` and the scan goes on, because the event's neighbours are kept.
 *
 * The caller has checked that the bytes are UTF-8, so half a surrogate pair can only be an escape.
 * Nesting is walked with a stack of our own: a megabyte of `[` must not end the process's.
 */
import { limits, type RejectionCode } from '@millrace/protocol'

export const QUOTE = 0x22
export const COMMA = 0x2c
export const OPEN_BRACKET = 0x5b
export const CLOSE_BRACKET = 0x5d
export const OPEN_BRACE = 0x7b
export const CLOSE_BRACE = 0x7d
export const LETTER_F = 0x66
export const LETTER_N = 0x6e
export const LETTER_T = 0x74
export const MINUS = 0x2d
export const DIGIT_0 = 0x30
const DIGIT_9 = 0x39
const PLUS = 0x2b
const POINT = 0x2e
const COLON = 0x3a
const BACKSLASH = 0x5c
const LETTER_U = 0x75
const DELETE = 0x7f

/** The entry in `Scan.open` of an array; an object's entry is the number of its members. */
const ARRAY = -1
/** Digits that a double keeps exactly, whatever they are. */
export const EXACT_DIGITS_MAX = 15
/** Below this power of ten a number is finite without a closer look (the largest double: 1.8e308). */
const FINITE_POWER_MAX = 300

/** Facts about the token scanned last and the event under way. One object, made once, reused. */
export interface Scan {
  bytes: Uint8Array
  /** The string scanned last has escapes: its bytes are not its text. */
  escaped: boolean
  /** The string scanned last holds a control character, escaped or DEL. */
  control: boolean
  /** The number scanned last is written without fraction and exponent. */
  integer: boolean
  /** Digits before the number's fraction. */
  digits: number
  /** Some integer since this was reset has more digits than a double keeps. */
  inexact: boolean
  /** Text of the key scanned last, without its quotes. */
  keyStart: number
  keyEnd: number
  keyEscaped: boolean
  /** Index of the key found last in the table that was asked, or -1. */
  known: number
  /** The first violation of the event under way, and the position of what is to blame. */
  code: RejectionCode | undefined
  at: number
  /** Containers that are open, from the value under scan inwards. */
  open: number[]
}

export function createScan(): Scan {
  return {
    bytes: new Uint8Array(0),
    escaped: false,
    control: false,
    integer: false,
    digits: 0,
    inexact: false,
    keyStart: 0,
    keyEnd: 0,
    keyEscaped: false,
    known: -1,
    code: undefined,
    at: 0,
    open: [],
  }
}

/** The body is not JSON: at `position` stands something else than `expected`. */
export class JsonFault extends Error {
  override readonly name = 'JsonFault'
  readonly position: number
  readonly expected: string

  constructor(position: number, expected: string) {
    super(`expected ${expected} at byte ${position}`)
    this.position = position
    this.expected = expected
  }
}

/** Notes why the event under way is refused; the first reason stays. */
export function refuse(scan: Scan, code: RejectionCode, at: number): void {
  if (scan.code !== undefined) return
  scan.code = code
  scan.at = at
}

/** Bytes of a string that mean only themselves. */
const PLAIN = new Uint8Array(256).fill(1, 0x20)
PLAIN[QUOTE] = PLAIN[BACKSLASH] = PLAIN[DELETE] = 0
const BLANK = new Uint8Array(256)
for (const blank of ' \n\r\t') BLANK[blank.charCodeAt(0)] = 1

export function skipBlanks(bytes: Uint8Array, from: number): number {
  let i = from
  while (i < bytes.length && BLANK[bytes[i]!] === 1) i++
  return i
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= DIGIT_0 && byte <= DIGIT_9
}

/** `from` is after the opening quote; gives the position after the closing one. */
export function scanString(scan: Scan, from: number): number {
  const { bytes } = scan
  const { length } = bytes
  let i = from
  scan.escaped = false
  scan.control = false
  for (;;) {
    while (i < length && PLAIN[bytes[i]!] === 1) i++
    if (i >= length) throw new JsonFault(length, 'the closing quote of a string')
    const byte = bytes[i]
    if (byte === QUOTE) return i + 1
    if (byte === BACKSLASH) i = scanEscape(scan, i)
    else if (byte === DELETE) {
      scan.control = true
      i++
    } else throw new JsonFault(i, 'an escape: a string holds no raw control character')
  }
}

/** `from` is at the backslash. A whole surrogate pair is taken at once. */
function scanEscape(scan: Scan, from: number): number {
  const { bytes } = scan
  scan.escaped = true
  switch (bytes[from + 1]) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f:
      return from + 2
    case 0x62: // b f n r t
    case LETTER_F:
    case LETTER_N:
    case 0x72:
    case LETTER_T:
      scan.control = true
      return from + 2
    case LETTER_U:
      break
    default:
      throw new JsonFault(from + 1, 'one of "\\/bfnrtu after a backslash')
  }
  const unit = codeUnit(bytes, from + 2)
  if (unit < 0x20 || unit === DELETE) scan.control = true
  if (unit < 0xd800 || unit > 0xdfff) return from + 6
  const paired =
    unit < 0xdc00 && bytes[from + 6] === BACKSLASH && bytes[from + 7] === LETTER_U
      ? codeUnit(bytes, from + 8)
      : 0
  if (paired >= 0xdc00 && paired <= 0xdfff) return from + 12
  refuse(scan, 'lone_surrogate', from)
  return from + 6
}

/** Value of the four hex digits at `from`. */
function codeUnit(bytes: Uint8Array, from: number): number {
  let unit = 0
  for (let i = from; i < from + 4; i++) {
    const byte = bytes[i]
    const lower = (byte ?? 0) | 0x20
    if (isDigit(byte)) unit = unit * 16 + byte! - DIGIT_0
    else if (lower >= 0x61 && lower <= 0x66) unit = unit * 16 + lower - 0x57
    else throw new JsonFault(i, 'four hex digits after \\u')
  }
  return unit
}

export function scanNumber(scan: Scan, from: number): number {
  const { bytes } = scan
  let i = bytes[from] === MINUS ? from + 1 : from
  const start = i
  if (bytes[i] === DIGIT_0) i++
  else if (isDigit(bytes[i])) i = skipDigits(bytes, i)
  else throw new JsonFault(i, i === from ? 'a value' : 'a digit')
  scan.digits = i - start
  scan.integer = true
  let exponent = 0
  if (bytes[i] === POINT) {
    scan.integer = false
    i = skipDigits(bytes, i + 1)
  }
  const byte = bytes[i]
  if (byte === 0x65 || byte === 0x45) {
    scan.integer = false
    const sign = bytes[i + 1]
    const digits = sign === PLUS || sign === MINUS ? i + 2 : i + 1
    i = skipDigits(bytes, digits)
    if (sign !== MINUS) exponent = FINITE_POWER_MAX
  }
  if (scan.integer && scan.digits > EXACT_DIGITS_MAX) scan.inexact = true
  // A positive exponent is rare enough to be asked about; making the number is the only exact answer.
  if (scan.digits + exponent >= FINITE_POWER_MAX && !isFiniteText(bytes, from, i)) {
    refuse(scan, 'number_out_of_range', from)
  }
  return i
}

/** At least one digit. */
function skipDigits(bytes: Uint8Array, from: number): number {
  let i = from
  while (isDigit(bytes[i])) i++
  if (i === from) throw new JsonFault(i, 'a digit')
  return i
}

function isFiniteText(bytes: Uint8Array, start: number, end: number): boolean {
  return Number.isFinite(Number(text(bytes, start, end)))
}

/** The bytes as text. */
export function text(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8')
}

/** The text of a string whose content is [start, end): escapes resolved. */
export function unescaped(bytes: Uint8Array, start: number, end: number): string {
  return JSON.parse(`"${text(bytes, start, end)}"`) as string
}

const WORDS = {
  true: [0x74, 0x72, 0x75, 0x65],
  null: [0x6e, 0x75, 0x6c, 0x6c],
  false: [0x66, 0x61, 0x6c, 0x73, 0x65],
} as const

function scanWord(bytes: Uint8Array, from: number, word: keyof typeof WORDS): number {
  const letters = WORDS[word]
  for (let j = 0; j < letters.length; j++) {
    if (bytes[from + j] !== letters[j]) throw new JsonFault(from, `a value (${word}?)`)
  }
  return from + letters.length
}

function scanScalar(scan: Scan, from: number): number {
  switch (scan.bytes[from]) {
    case QUOTE:
      return scanString(scan, from + 1)
    case LETTER_T:
      return scanWord(scan.bytes, from, 'true')
    case LETTER_F:
      return scanWord(scan.bytes, from, 'false')
    case LETTER_N:
      return scanWord(scan.bytes, from, 'null')
    default:
      return scanNumber(scan, from)
  }
}

/** A key, its colon and the blanks around it: gives the start of the member's value. */
export function scanKey(scan: Scan, from: number): number {
  const { bytes } = scan
  if (bytes[from] !== QUOTE) throw new JsonFault(from, 'a key in quotes')
  const end = scanString(scan, from + 1)
  scan.keyStart = from + 1
  scan.keyEnd = end - 1
  scan.keyEscaped = scan.escaped
  if (isForbidden(scan)) refuse(scan, 'forbidden_key', from)
  const colon = bytes[end] === COLON ? end : skipBlanks(bytes, end)
  if (bytes[colon] !== COLON) throw new JsonFault(colon, 'a colon')
  return skipBlanks(bytes, colon + 1)
}

/** `__proto__` turns into something else than a member in too many readers. */
function isForbidden(scan: Scan): boolean {
  const { bytes, keyStart, keyEnd } = scan
  if (scan.keyEscaped) return unescaped(bytes, keyStart, keyEnd) === '__proto__'
  if (keyEnd - keyStart !== 9 || bytes[keyStart] !== 0x5f) return false
  return text(bytes, keyStart, keyEnd) === '__proto__'
}

/**
 * After a member's value: gives the next key, or the closing brace. A comma before the brace is a
 * fault, as JSON has it.
 */
export function nextMember(bytes: Uint8Array, from: number): number {
  const i = skipBlanks(bytes, from)
  if (bytes[i] === CLOSE_BRACE) return i
  if (bytes[i] !== COMMA) throw new JsonFault(i, 'a comma or }')
  const next = skipBlanks(bytes, i + 1)
  if (bytes[next] !== QUOTE) throw new JsonFault(next, 'a key in quotes')
  return next
}

/** The same after an array's element. */
export function nextElement(bytes: Uint8Array, from: number): number {
  const i = skipBlanks(bytes, from)
  if (bytes[i] === CLOSE_BRACKET) return i
  if (bytes[i] !== COMMA) throw new JsonFault(i, 'a comma or ]')
  const next = skipBlanks(bytes, i + 1)
  if (bytes[next] === CLOSE_BRACKET) throw new JsonFault(next, 'a value')
  return next
}

/** Any value. `depth` is the number of containers around it inside the event, the event not counted. */
export function scanValue(scan: Scan, from: number, depth: number): number {
  const byte = scan.bytes[from]
  if (byte !== OPEN_BRACE && byte !== OPEN_BRACKET) return scanScalar(scan, from)
  return scanContainer(scan, from, depth)
}

function scanContainer(scan: Scan, from: number, depth: number): number {
  const { bytes, open } = scan
  let level = 0
  let i = from
  for (;;) {
    const byte = bytes[i]
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (depth + level >= limits.DEPTH_MAX) refuse(scan, 'too_deep', i)
      const isObject = byte === OPEN_BRACE
      i = skipBlanks(bytes, i + 1)
      if (bytes[i] !== (isObject ? CLOSE_BRACE : CLOSE_BRACKET)) {
        open[level++] = isObject ? 1 : ARRAY
        if (isObject) i = scanKey(scan, i)
        continue
      }
      i++
    } else i = scanScalar(scan, i)
    // A value has ended; so may the containers around it.
    while (level > 0) {
      const members = open[level - 1]!
      i = members === ARRAY ? nextElement(bytes, i) : nextMember(bytes, i)
      if (bytes[i] !== (members === ARRAY ? CLOSE_BRACKET : CLOSE_BRACE)) {
        if (members !== ARRAY) {
          if (members === limits.KEYS_PER_OBJECT_MAX) refuse(scan, 'too_many_keys', i)
          open[level - 1] = members + 1
          i = scanKey(scan, i)
        }
        break
      }
      i++
      level--
    }
    if (level === 0) break
  }
  // A hostile depth must not keep its memory.
  if (open.length > limits.DEPTH_MAX) open.length = limits.DEPTH_MAX
  return i
}

/**
 * Ordinary events, recognised sixteen bytes at a time: AssemblyScript, compiled to WebAssembly with
 * SIMD by `npm run wasm`. The result is kept beside it, so that an install needs no compiler; CI
 * holds the two together. Loaded by src/collector/plain-events.ts, where the layout of the memory
 * and the tables are filled in; read that file first.
 *
 * It says yes to an event only if src/collector/scan-event.ts would accept it, and stops at the first
 * it is not sure of: an escape, a rare blank, an unknown member, a long number. That one is then
 * scanned by the file named, which is the specification. So nothing is ever refused here, and no
 * reason is needed. Sixteen bytes are read at once, up to fifteen past the end: zeros stand there,
 * which end every token.
 */

// The memory's layout: as in src/collector/plain-events.ts.
const EVENT_KEYS: i32 = 1024
const DATA_KEYS: i32 = 2048
const EVENT_GUESSES: i32 = 3072
const DATA_GUESSES: i32 = 3200
const NOTES: i32 = 4096
const BOUNDS: i32 = 8192
const BODY: i32 = 65536

/** A table's entry: the quoted key with its colon, and which of those 16 bytes count. */
const ENTRY_BYTES: i32 = 32
const MASK: i32 = 16
const LENGTH: i32 = 20
const RULE: i32 = 24
const LENGTH_MAX: i32 = 28

// Rules of an event's members.
const TEXT: i32 = 1
const TEXT_OR_EMPTY: i32 = 2
const TIME: i32 = 3
const COUNT: i32 = 4
const DATA: i32 = 5
/** Added to the rule of a member that may be null. */
const OPTIONAL: i32 = 8
// Rules of the columns of `data`.
const COLUMN_TEXT: i32 = 1
const COLUMN_INTEGER: i32 = 3

const TYPE_AND_TIME: i32 = 0b011
const PATH: i32 = 0b100
const LACKS_PATH: i32 = 4
const EVENT_BYTES_MAX: i32 = 65536
const DATA_MEMBERS_MAX: i32 = 64

const QUOTE: i32 = 0x22
const COMMA: i32 = 0x2c
const COLON: i32 = 0x3a
const BLANK: i32 = 0x20
const OPEN_BRACE: i32 = 0x7b
const CLOSE_BRACE: i32 = 0x7d
const NULL: i32 = 0x6c6c756e
const UNSURE: i32 = 0

function at(i: i32): i32 {
  return load<u8>(i)
}

/** One blank, as many writers put it after a comma or a colon. */
function afterBlank(i: i32): i32 {
  return at(i) === BLANK ? i + 1 : i
}

/** `i` is after the opening quote; gives the closing one's place, if nothing before it is special. */
function stringEnd(i: i32): i32 {
  const quote = i8x16.splat(0x22)
  const backslash = i8x16.splat(0x5c)
  const blank = i8x16.splat(0x20)
  const del = i8x16.splat(0x7f)
  while (true) {
    const bytes = v128.load(i)
    const special = v128.or(
      v128.or(i8x16.eq(bytes, quote), i8x16.eq(bytes, backslash)),
      v128.or(i8x16.lt_u(bytes, blank), i8x16.eq(bytes, del)),
    )
    const mask = i8x16.bitmask(special)
    if (mask !== 0) {
      const end = i + ctz(mask)
      return at(end) === QUOTE ? end : UNSURE
    }
    i += 16
  }
}

function isDigit(byte: i32): bool {
  return <u32>(byte - 0x30) < 10
}

/** After the digits at `i`; no zero before another digit, at most `digitsMax`. */
function integerEnd(i: i32, digitsMax: i32): i32 {
  const start = i
  if (at(i) === 0x30) return isDigit(at(i + 1)) ? UNSURE : i + 1
  while (isDigit(at(i))) i++
  return i === start || i - start > digitsMax ? UNSURE : i
}

/** A number without exponent and of few digits: a double holds its integer part exactly. */
function numberEnd(i: i32): i32 {
  if (at(i) === 0x2d) i++
  i = integerEnd(i, 15)
  if (i === UNSURE || at(i) !== 0x2e) return i
  const fraction = i + 1
  i = fraction
  while (isDigit(at(i))) i++
  return i === fraction || i - fraction > 30 ? UNSURE : i
}

/** The number that ended at `i` goes no further. */
function isOver(i: i32): bool {
  const byte = at(i)
  return byte === COMMA || byte === CLOSE_BRACE
}

function pair(i: i32): i32 {
  const tens = at(i) - 0x30
  const ones = at(i + 1) - 0x30
  return <u32>tens < 10 && <u32>ones < 10 ? tens * 10 + ones : 1000
}

/** `YYYY-MM-DDTHH:MM:SSZ` or `….mmmZ`, on a day that each such month has. */
function isTime(i: i32, end: i32): bool {
  const length = end - i
  if (length !== 24 && length !== 20) return false
  if (at(end - 1) !== 0x5a) return false
  if (length === 24 && (at(i + 19) !== 0x2e || !isDigit(at(i + 20)) || pair(i + 21) > 99))
    return false
  const century = pair(i)
  const month = pair(i + 5)
  const day = pair(i + 8)
  if (century < 20 || century > 98 || pair(i + 2) > 99) return false
  if (month < 1 || month > 12 || day < 1 || day > 31) return false
  if (
    day > 28 &&
    (month === 2 || (day === 31 && (month === 4 || month === 6 || month === 9 || month === 11)))
  )
    return false
  const separator = at(i + 10)
  return (
    at(i + 4) === 0x2d &&
    at(i + 7) === 0x2d &&
    (separator === 0x54 || separator === BLANK) &&
    at(i + 13) === COLON &&
    at(i + 16) === COLON &&
    pair(i + 11) < 24 &&
    pair(i + 14) < 60 &&
    pair(i + 17) < 60
  )
}

/**
 * The place in `table` of the key at `i`, plus 1, or 0. The key that came after the same one last time
 * is tried first.
 */
function keyAt(i: i32, table: i32, guesses: i32, before: i32): i32 {
  const bytes = v128.load(i)
  const guess = at(guesses + before)
  if (guess !== 0 && isEntry(bytes, table + guess * ENTRY_BYTES)) return guess
  let index: i32 = 0
  while (true) {
    index++
    const entry = table + index * ENTRY_BYTES
    if (load<i32>(entry + LENGTH) === 0) return 0
    if (isEntry(bytes, entry)) {
      store<u8>(guesses + before, index)
      return index
    }
  }
}

function isEntry(bytes: v128, entry: i32): bool {
  const mask = load<i32>(entry + MASK)
  return (i8x16.bitmask(i8x16.eq(bytes, v128.load(entry))) & mask) === mask
}

/** The value at `i` of a member of `data`, of the column's kind, or of any simple kind for rule 0. */
function dataValueEnd(i: i32, rule: i32): i32 {
  const byte = at(i)
  if (byte === QUOTE) {
    if (rule > COLUMN_TEXT) return UNSURE
    const end = stringEnd(i + 1)
    return end === UNSURE ? UNSURE : end + 1
  }
  if (rule === COLUMN_TEXT) return UNSURE
  if (rule === 0) {
    const word = load<i32>(i)
    if (word === 0x65757274 || word === NULL) return i + 4
    if (byte === 0x66 && load<i32>(i + 1) === 0x65736c61) return i + 5
  }
  const end = rule === COLUMN_INTEGER ? integerEnd(at(i) === 0x2d ? i + 1 : i, 9) : numberEnd(i)
  return end !== UNSURE && isOver(end) ? end : UNSURE
}

let isMixed: i32 = 0

/** `i` is at the opening brace. */
function dataEnd(i: i32): i32 {
  isMixed = 0
  i++
  if (at(i) === CLOSE_BRACE) return i + 1
  let given: i32 = 0
  let key: i32 = 0
  for (let count = 0; count < DATA_MEMBERS_MAX; count++) {
    key = keyAt(i, DATA_KEYS, DATA_GUESSES, key)
    let rule: i32 = 0
    if (key !== 0) {
      if (given & (1 << key)) return UNSURE
      given |= 1 << key
      const entry = DATA_KEYS + key * ENTRY_BYTES
      rule = load<i32>(entry + RULE)
      i += load<i32>(entry + LENGTH)
    } else {
      // A name that begins with `_` may be the one that is forbidden.
      if (at(i) !== QUOTE || at(i + 1) === 0x5f) return UNSURE
      const end = stringEnd(i + 1)
      // A blank before the colon could still name a column, as could an escape.
      if (end === UNSURE || at(end + 1) !== COLON) return UNSURE
      isMixed = 1
      i = end + 2
    }
    i = dataValueEnd(afterBlank(i), rule)
    if (i === UNSURE) return UNSURE
    if (at(i) === CLOSE_BRACE) return i + 1
    if (at(i) !== COMMA) return UNSURE
    i = afterBlank(i + 1)
  }
  return UNSURE
}

/** The value at `i` of a known member of an event. */
function valueEnd(i: i32, entry: i32): i32 {
  let rule = load<i32>(entry + RULE)
  if (rule & OPTIONAL) {
    if (load<i32>(i) === NULL) return i + 4
    rule &= 7
  }
  const byte = at(i)
  if (rule === DATA) return byte === OPEN_BRACE ? dataEnd(i) : UNSURE
  if (rule === COUNT) {
    const end = integerEnd(i, 9)
    return end !== UNSURE && isOver(end) ? end : UNSURE
  }
  if (byte !== QUOTE) {
    // Thirteen digits of milliseconds are a time before the year 2287.
    if (rule !== TIME) return UNSURE
    const end = integerEnd(i, 13)
    return end !== UNSURE && isOver(end) ? end : UNSURE
  }
  const start = i + 1
  const end = stringEnd(start)
  if (end === UNSURE || end - start > load<i32>(entry + LENGTH_MAX)) return UNSURE
  if (end === start && rule !== TEXT_OR_EMPTY) return UNSURE
  if (rule === TIME && !isTime(start, end)) return UNSURE
  return rule >= TEXT && rule <= TIME ? end + 1 : UNSURE
}

let notes: i32 = 0

/** After the event at `i`, with its notes, or UNSURE. */
function eventEnd(i: i32): i32 {
  const start = i
  if (at(i) !== OPEN_BRACE) return UNSURE
  notes = 0
  i++
  let given: i32 = 0
  let key: i32 = 0
  while (true) {
    key = keyAt(i, EVENT_KEYS, EVENT_GUESSES, key)
    if (key === 0 || given & (1 << (key - 1))) return UNSURE
    given |= 1 << (key - 1)
    const entry = EVENT_KEYS + key * ENTRY_BYTES
    const value = afterBlank(i + load<i32>(entry + LENGTH))
    i = valueEnd(value, entry)
    if (i === UNSURE) return UNSURE
    if ((load<i32>(entry + RULE) & 7) === DATA && at(value) === OPEN_BRACE) notes = isMixed
    if (at(i) === CLOSE_BRACE) break
    if (at(i) !== COMMA) return UNSURE
    i = afterBlank(i + 1)
  }
  i++
  if ((given & TYPE_AND_TIME) !== TYPE_AND_TIME || i - start > EVENT_BYTES_MAX) return UNSURE
  if ((given & PATH) === 0) notes |= LACKS_PATH
  return i
}

/**
 * Recognises events of the array from the one at `from` on, which is number `index` of the batch, and
 * writes down their bounds and notes. Gives how many: up to `indexMax`, the array's end, or the first
 * one it is not sure of.
 */
export function recognise(from: i32, index: i32, indexMax: i32): i32 {
  const first = index
  let i = BODY + from
  while (index < indexMax) {
    const end = eventEnd(i)
    if (end === UNSURE) break
    store<i32>(BOUNDS + 8 * index, i - BODY)
    store<i32>(BOUNDS + 8 * index + 4, end - BODY)
    store<u8>(NOTES + index, notes)
    index++
    if (at(end) !== COMMA) break
    i = afterBlank(end + 1)
  }
  return index - first
}

/**
 * CSV as RFC 4180 has it (CRLF, quotes doubled), safe to open in a spreadsheet.
 *
 * A cell that begins with = + - @ TAB or CR is a formula to spreadsheets, and the text of an event is
 * whatever a stranger's browser sent: such text gets a leading apostrophe (OWASP, "CSV Injection").
 * Numbers keep their sign. Null is an empty cell, empty text is `""`.
 */

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [member: string]: JsonValue }

const FORMULA = /^[=+\-@\t\r]/
const NUMBER = /^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/
const QUOTED = /[",\r\n]/

/** One line with its CRLF. */
export function csvLine(values: readonly JsonValue[]): string {
  return `${values.map(csvCell).join(',')}\r\n`
}

function csvCell(value: JsonValue): string {
  if (value === null) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const plain = typeof value === 'string' ? value : JSON.stringify(value)
  if (plain === '') return '""'
  const safe = FORMULA.test(plain) && !NUMBER.test(plain) ? `'${plain}` : plain
  return QUOTED.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

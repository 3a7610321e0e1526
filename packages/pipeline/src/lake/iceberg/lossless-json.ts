/**
 * JSON whose large integers survive.
 *
 * Snapshot ids of other Iceberg writers are 63 bits wide and `JSON.parse` rounds them: the rounded
 * id would name no snapshot, and a commit over it would break the table's history. Integers that a
 * number holds exactly stay numbers; the others become bigints, and are written as they were read.
 */

/** Stands before a bigint inside the intermediate text; no name or id begins with a NUL. */
const MARK = '\u0000bigint:'
const MARKED = /"\\u0000bigint:(-?\d+)"/g
/** A string (left as it is), or an integer long enough to be unsafe: 2^53 has 16 digits. */
const STRING_OR_LONG_INTEGER = /"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g

export function parseJson(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text)
  const marked = text.replace(STRING_OR_LONG_INTEGER, (token) =>
    token.startsWith('"') || Number.isSafeInteger(Number(token))
      ? token
      : `"\\u0000bigint:${token}"`,
  )
  return JSON.parse(marked, (_key, value: unknown) =>
    typeof value === 'string' && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value,
  )
}

export function stringifyJson(value: unknown): string {
  const text = JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'bigint' ? `${MARK}${member}` : member,
  )
  return text.replace(MARKED, '$1')
}

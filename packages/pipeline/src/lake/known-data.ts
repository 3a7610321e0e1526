/**
 * `data`: into its columns and the rest, and whole again.
 *
 * Members that are columns (DATA_COLUMNS) are taken out; what is left stays text. Expects the columns
 * `mixed` and `wild` beside it, the record's flags: they say which batches need more than that.
 */
import { DATA_COLUMNS } from '@millrace/protocol'
import { text } from './sql-text.ts'

const KIND_TYPES = { integer: 'INTEGER', coordinate: 'DOUBLE', text: 'VARCHAR' } as const
/** What `json_type` says of values that the column takes as they are: no text becomes a number. */
const KIND_JSON_TYPES = {
  integer: "'BIGINT', 'UBIGINT'",
  coordinate: "'BIGINT', 'UBIGINT', 'DOUBLE'",
  text: "'VARCHAR'",
} as const

/** A struct of the members of `data` that are columns; in wild batches each is probed first. */
export function knownData(data: string): string {
  const entries = Object.entries(DATA_COLUMNS)
  const shape = JSON.stringify(
    Object.fromEntries(entries.map(([key, { kind }]) => [key, KIND_TYPES[kind]])),
  )
  const probed = entries.map(([key, { kind }]) => {
    const member = `${data}->>'$.${key}'`
    return `"${key}": CASE WHEN json_type(${data}, '$.${key}') IN (${KIND_JSON_TYPES[kind]})
      THEN TRY_CAST(${member} AS ${KIND_TYPES[kind]}) END`
  })
  return `CASE WHEN wild THEN {${probed.join(', ')}} ELSE json_transform(${data}, ${text(shape)}) END`
}

/** What of `data` has no column, as text; null when that is nothing. Wild batches keep all of it. */
export function restOfData(data: string): string {
  return `CASE WHEN wild THEN nullif(CAST(${data} AS VARCHAR), '{}')
    WHEN mixed AND ${data} IS NOT NULL THEN nullif(CAST(json_merge_patch(${data}, ${text(withoutKnownKeys())}) AS VARCHAR), '{}') END`
}

/** Columns of `events` out of `known`, which is what `knownData` gave. */
export function knownColumns(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(DATA_COLUMNS).map(([key, { column }]) => [column, `known."${key}"`]),
  )
}

/** A JSON merge patch (RFC 7396) that removes the members that are columns. */
function withoutKnownKeys(): string {
  return JSON.stringify(Object.fromEntries(Object.keys(DATA_COLUMNS).map((key) => [key, null])))
}

/**
 * `data` as it was sent: the columns' members and the rest, spliced as text. (A merge patch would
 * drop the sender's nulls.) Only a wild batch keeps members that are columns in the rest, and then the
 * rest is the whole.
 */
export function wholeData(): string {
  const entries = Object.entries(DATA_COLUMNS)
  const members = entries.map(([key, { column, kind }]) => {
    // A whole coordinate prints as 12, not 12.0: as it came.
    const value = {
      integer: `"${column}"`,
      coordinate: `CASE WHEN "${column}" = trunc("${column}") AND abs("${column}") < 1e15
        THEN CAST(CAST("${column}" AS BIGINT) AS VARCHAR) ELSE CAST("${column}" AS VARCHAR) END`,
      text: `CAST(to_json("${column}") AS VARCHAR)`,
    }[kind]
    return `'"${key}":' || ${value}`
  })
  const columns = entries.map(([, { column }]) => `"${column}"`).join(', ')
  const keys = entries.map(([key]) => text(key)).join(', ')
  return `CASE WHEN coalesce(${columns.replaceAll(/"\w+"/g, (name) => `CAST(${name} AS VARCHAR)`)}) IS NULL THEN "data"
    WHEN "data" IS NULL THEN '{' || concat_ws(',', ${members.join(', ')}) || '}'
    WHEN list_has_any(json_keys("data"), [${keys}]) THEN "data"
    ELSE '{' || concat_ws(',', ${members.join(', ')}) || ',' || substring("data", 2) END`
}

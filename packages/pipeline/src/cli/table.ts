/**
 * Text tables for the terminal: numbers to the right, the rest to the left, wide cells cut.
 *
 * Whatever is shown was sent by others, so nothing that steers a terminal gets through.
 */

const CELL_WIDTH_MAX = 60

export function textTable(names: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const headers = names.map(cellText)
  const cells = rows.map((row) => row.map(cellText))
  const widths = headers.map((header, at) =>
    Math.max(header.length, ...cells.map((row) => (row[at] ?? '').length)),
  )
  const numeric = headers.map(
    (_, at) =>
      rows.length > 0 && rows.every((row) => row[at] === null || typeof row[at] === 'number'),
  )
  const line = (row: readonly string[]) =>
    row
      .map((cell, at) =>
        numeric[at] ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return [line(headers), line(widths.map((width) => '─'.repeat(width))), ...cells.map(line)].join(
    '\n',
  )
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return '∅'
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const safe = printable(text)
  return safe.length > CELL_WIDTH_MAX ? `${safe.slice(0, CELL_WIDTH_MAX - 1)}…` : safe
}

/** Text on one line: control characters, line separators and marks that turn its direction are dots. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '·')
}

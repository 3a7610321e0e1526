/** Text tables for the terminal: numbers to the right, the rest to the left, wide cells cut. */

const CELL_WIDTH_MAX = 60

export function textTable(
  headers: readonly string[],
  rows: readonly (readonly unknown[])[],
): string {
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
  // Control characters of hostile text must not reach the terminal.
  const safe = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '·')
  return safe.length > CELL_WIDTH_MAX ? `${safe.slice(0, CELL_WIDTH_MAX - 1)}…` : safe
}

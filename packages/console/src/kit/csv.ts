/**
 * A result as CSV (RFC 4180: CRLF, quotes doubled).
 *
 * Events carry what strangers typed, and spreadsheets run a text cell that begins with `= + - @`: such
 * a cell gets an apostrophe before it. Numbers are left alone.
 */
import { cellText } from './format.ts'

const FORMULA = /^[=+\-@\t\r]/
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i

export function csvCell(cell: unknown): string {
  const plain = cellText(cell)
  const risky = typeof cell === 'string' && FORMULA.test(plain) && !NUMBER.test(plain)
  const text = risky ? `'${plain}` : plain
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

export function csv(header: readonly string[], rows: readonly (readonly unknown[])[]): string {
  return [header, ...rows].map((row) => `${row.map(csvCell).join(',')}\r\n`).join('')
}

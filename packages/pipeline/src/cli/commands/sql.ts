/** `millrace sql`: one SELECT, as a table for people or as JSON or CSV for programs. */
import { text } from 'node:stream/consumers'
import { MillraceError } from '../../kit/errors.ts'
import { type ConnectionFlags, connect } from '../connection.ts'
import { textTable } from '../table.ts'

/** What the server allows; see docs/sql.md. */
const MAX_ROWS_MAX = 10_000
const TIMEOUT_MAX_MS = 60_000

interface SqlFlags extends ConnectionFlags {
  readonly format: string
  readonly maxRows: string
  readonly timeout: string
}

interface SqlAnswer {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly rows: readonly (readonly unknown[])[]
  readonly truncated: boolean
  readonly stats: { readonly elapsedMs: number }
}

export async function sql(words: readonly string[], flags: SqlFlags): Promise<void> {
  if (!['table', 'json', 'csv'].includes(flags.format)) {
    throw new MillraceError('bad_input', `--format is "${flags.format}", allowed: table, json, csv`)
  }
  const body = {
    sql: await statementOf(words),
    maxRows: wholeNumber('--max-rows', flags.maxRows, 1, MAX_ROWS_MAX),
    timeoutMs: wholeNumber('--timeout', flags.timeout, 1, TIMEOUT_MAX_MS),
  }
  const connection = await connect(flags)
  const accept = flags.format === 'csv' ? 'text/csv' : 'application/json'
  const response = await connection.call('POST', '/v1/query', body, { Accept: accept })
  if (flags.format !== 'table') {
    process.stdout.write(await response.text())
    if (flags.format === 'json') process.stdout.write('\n')
    return
  }
  const answer = (await response.json()) as SqlAnswer
  const names = answer.columns.map(({ name }) => name)
  process.stdout.write(`${textTable(names, answer.rows)}\n`)
  const cut = answer.truncated ? `, cut at --max-rows ${flags.maxRows}` : ''
  process.stderr.write(
    `${answer.rows.length} ${answer.rows.length === 1 ? 'row' : 'rows'} in ${Math.round(answer.stats.elapsedMs)} ms${cut}\n`,
  )
}

async function statementOf(words: readonly string[]): Promise<string> {
  const [first = '', ...more] = words
  if (more.length > 0) {
    throw new MillraceError('bad_input', `the statement came as ${words.length} words`, {
      hint: 'Put it in quotes, so that the shell leaves it alone: millrace sql "select 1"',
    })
  }
  const statement = first === '-' ? await text(process.stdin) : first
  if (statement.trim() === '') {
    throw new MillraceError('bad_input', 'the statement is empty', {
      hint: 'For example: millrace sql "select event_type, count(*) from events group by 1"',
    })
  }
  return statement
}

export function wholeNumber(name: string, value: string, low = 0, high = 999_999_999): number {
  if (!/^\d{1,9}$/.test(value) || Number(value) < low || Number(value) > high)
    throw new MillraceError('bad_input', `${name} is "${value}", allowed: ${low} to ${high}`)
  return Number(value)
}

/** `millrace sql`: one SELECT, as a table for people or as JSON or CSV for programs. */
import { text } from 'node:stream/consumers'
import { MillraceError } from '../../kit/errors.ts'
import { type ConnectionFlags, connect } from '../connection.ts'
import { textTable } from '../table.ts'

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

export async function sql(argument: string, flags: SqlFlags): Promise<void> {
  if (!['table', 'json', 'csv'].includes(flags.format)) {
    throw new MillraceError('bad_input', `--format is "${flags.format}", allowed: table, json, csv`)
  }
  const statement = argument === '-' ? await text(process.stdin) : argument
  const body = {
    sql: statement,
    maxRows: wholeNumber('--max-rows', flags.maxRows),
    timeoutMs: wholeNumber('--timeout', flags.timeout),
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
    `${answer.rows.length} rows in ${Math.round(answer.stats.elapsedMs)} ms${cut}\n`,
  )
}

export function wholeNumber(name: string, value: string): number {
  if (!/^\d{1,9}$/.test(value))
    throw new MillraceError('bad_input', `${name} is "${value}", a whole number is expected`)
  return Number(value)
}

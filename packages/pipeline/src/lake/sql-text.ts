/**
 * Text of SQL from values, for the files that say what rows are (rows-*.ts).
 *
 * A query is a chain of named steps, each a SELECT from the one before, so that an expression is
 * written once and named. None is materialised: the engine runs them as one.
 */

export interface Step {
  readonly name: string
  readonly select: string
}

export function chain(steps: readonly Step[], select: string): string {
  const named = steps.map((step) => `${step.name} AS NOT MATERIALIZED (${step.select})`)
  return `WITH ${named.join(',\n')}\n${select}`
}

/** `expression AS name` for each, as further columns. */
export function named(expressions: Readonly<Record<string, string>>): string {
  return Object.entries(expressions)
    .map(([name, expression]) => `${expression} AS ${name}`)
    .join(',\n  ')
}

export function structOf(members: Readonly<Record<string, string>>): string {
  const typed = Object.entries(members).map(([name, type]) => `"${name}" ${type}`)
  return `STRUCT(${typed.join(', ')})`
}

export function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`
}

export function whole(value: number): string {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not a whole number`)
  return String(value)
}

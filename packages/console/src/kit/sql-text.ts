/** SQL literals. What an event or a person wrote goes into a statement only through here. */

/** A string literal: the quote is doubled, which is all that standard SQL strings need. */
export const sqlString = (value: string): string => `'${value.replaceAll("'", "''")}'`

/** `('a', 'b')` for an IN list; an empty list matches nothing. */
export const sqlList = (values: readonly string[]): string =>
  values.length === 0 ? '(null)' : `(${values.map(sqlString).join(', ')})`

/** docs/formats/lake.md prints the tables; this holds what it prints to the code. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { NONE_LEFT, progressSummary } from './progress.ts'
import { type Column, TABLES } from './tables.ts'

const DOC = readFileSync(new URL('../../../../docs/formats/lake.md', import.meta.url), 'utf8')

test.each(TABLES)(
  'the format page prints table $name as it is',
  ({ name, columns, doc, partitionColumn }) => {
    const rows = columns.map(row).join('\n')
    expect(DOC).toContain(`### \`${name}\`\n`)
    expect(DOC).toContain(
      `${doc[0]!.toUpperCase()}${doc.slice(1)}. Partitioned by \`day(${partitionColumn})\`.`,
    )
    expect(`${DOC}\n`).toContain(`| --- | --- | --- | --- |\n${rows}\n\n`)
  },
)

test('the format page names the keys that progress is written under', () => {
  const progress = { logId: '', nextOffset: 0, writerEpoch: 0, left: NONE_LEFT }
  for (const key of Object.keys(progressSummary(progress))) {
    expect(DOC).toContain(`| \`${key}\` |`)
  }
})

function row(column: Column): string {
  const flags = `${column.required ? ', required' : ''}${column.bounds ? ', bounds' : ''}`
  return `| ${column.id} | \`${column.name}\` | ${column.type}${flags} | ${column.doc} |`
}

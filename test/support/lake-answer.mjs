/**
 * A child process that answers what a lake's table `events` holds: one text over every row and column.
 *
 * On its own, because an engine may die of a damaged file, which is one of the outcomes.
 */
import { DuckDBInstance } from '@duckdb/node-api'
import { openLake } from './built.mjs'

// What a file held before it was changed is not to be answered from memory.
const settings = { threads: '1', enable_external_file_cache: 'false' }
const connection = await (await DuckDBInstance.create(':memory:', settings)).connect()

/** @param {string} data */
async function answerOf(data) {
  const { lake, tenantId } = await openLake(data)
  const { files, recordCount } = await lake.snapshot(tenantId, 'events')
  if (files.length === 0) return `${recordCount} rows, no files`
  const paths = files.map(({ localPath }) => `'${localPath}'`).join(', ')
  const reader = await connection.runAndReadAll(
    `select count(*)::int, md5(string_agg(row::varchar, '|' order by batch_id, event_index))
     from read_parquet([${paths}]) as row`,
  )
  return JSON.stringify(reader.getRows())
}

process.on('message', async (data) => {
  const answer = await answerOf(data).then(
    (text) => ({ answer: text }),
    (error) => ({ error: String(error.message).split('\n')[0] }),
  )
  process.send(answer)
})
process.on('disconnect', () => process.exit(0))

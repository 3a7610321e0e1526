/**
 * Delivery's two ports over the model disk: an engine that writes rows as lines of JSON where DuckDB
 * writes Parquet, and a spool. Like the real ones they sync nothing. A stand-in's last line is the
 * check of those before, so that a torn file is told from a whole one; its statistics are in the
 * form of COPY … (RETURN_STATS).
 */
import { createHash } from 'node:crypto'
import type {
  LakeWriter,
  RowsFile,
  RowsRequest,
  TableName,
} from '../../packages/pipeline/src/delivery/lake-writer.ts'
import type { Spool } from '../../packages/pipeline/src/delivery/spool.ts'
import { type FileSystem, readFile } from '../../packages/pipeline/src/kit/files.ts'
import { TABLES } from '../../packages/pipeline/src/lake/tables.ts'

export interface Row {
  readonly offset: number
  readonly source: number
  readonly batch: string
  readonly index: number
  readonly eventId: string | null
}

interface LogEvent {
  readonly eventType: string
  readonly eventId?: string
}

const DAY = 20_000
const DAY_TEXT = new Date(DAY * 86_400_000).toISOString().slice(0, 10)

/** `folder` is there. */
export function standInSpool(files: FileSystem, folder: string): Spool {
  return {
    folder,
    async clear() {
      for (const name of await files.list(folder)) await files.remove(`${folder}/${name}`)
    },
    async write(name, bytes) {
      await writeUnsynced(files, `${folder}/${name}`, bytes)
      return `${folder}/${name}`
    },
  }
}

export function standInWriter(files: FileSystem): LakeWriter {
  return {
    async write(request) {
      const lines = textLines(await readFile(files, request.lines)).map((line) => JSON.parse(line))
      const rejections: Row[] = []
      const identities: Row[] = []
      const events: Row[] = []
      let duplicateCount = 0
      const known = await knownIds(files, request)
      for (const { o, s, b, i, e, x } of lines) {
        const place = { offset: o, source: s, batch: b, eventId: null }
        if (o >= request.fromOffset.rejections) {
          for (const { index } of x ?? []) rejections.push({ ...place, index })
        }
        for (const [at, event] of ((e ?? []) as LogEvent[]).entries()) {
          const row = { ...place, index: i?.[at] ?? at, eventId: event.eventId ?? null }
          const id = `${s} ${row.eventId}`
          if (row.eventId !== null && known.has(id)) {
            duplicateCount++
            continue
          }
          known.add(id)
          events.push(row)
          const isNew = o >= request.fromOffset.identities
          if (event.eventType === 'identify' && isNew) identities.push(row)
        }
      }
      const tables: [TableName, readonly Row[]][] = [
        ['rejections', rejections],
        ['identities', identities],
        ['events', events],
      ]
      const made: RowsFile[] = []
      for (const [table, rows] of tables) {
        if (rows.length > 0) made.push(await writeRows(files, request.folder, table, rows))
      }
      return { files: made, duplicateCount }
    },
    close() {},
  }
}

async function knownIds(files: FileSystem, request: RowsRequest): Promise<Set<string>> {
  const known = new Set<string>()
  for (const path of await request.earlierEvents(DAY, DAY)) {
    for (const { source, eventId } of rowsOf(await readFile(files, path)) ?? []) {
      if (eventId !== null) known.add(`${source} ${eventId}`)
    }
  }
  return known
}

async function writeRows(
  files: FileSystem,
  folder: string,
  table: TableName,
  rows: readonly Row[],
): Promise<RowsFile> {
  const body = `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`
  const bytes = Buffer.from(`${body}${checkOf(body)}\n`)
  const path = `${folder}/${table}.parquet`
  await writeUnsynced(files, path, bytes)
  const idCount = rows.filter(({ eventId }) => eventId !== null).length
  const { columns, partitionColumn } = TABLES.find(({ name }) => name === table)!
  const statistics = columns.map(({ name }) => {
    const nulls = name === 'event_id' ? rows.length - idCount : 0
    const time = `${DAY_TEXT} 12:00:00+00`
    const bounds = name === partitionColumn ? { min: time, max: time } : {}
    return [name, { null_count: nulls, column_size_bytes: 1, ...bounds }]
  })
  const stats = {
    count: rows.length,
    file_size_bytes: bytes.length,
    column_statistics: Object.fromEntries(statistics),
  }
  return { table, path, partitionDay: DAY, stats }
}

/** The rows of a whole file; undefined when a byte of it is wrong. */
export function rowsOf(bytes: Uint8Array): readonly Row[] | undefined {
  const lines = textLines(bytes)
  const check = lines.pop()
  const body = lines.map((line) => `${line}\n`).join('')
  if (check !== checkOf(body)) return undefined
  return lines.map((line) => JSON.parse(line) as Row)
}

function checkOf(body: string): string {
  return createHash('sha256').update(body).digest('hex')
}

function textLines(bytes: Uint8Array): string[] {
  return Buffer.from(bytes).toString('utf8').split('\n').slice(0, -1)
}

async function writeUnsynced(files: FileSystem, path: string, bytes: Uint8Array): Promise<void> {
  const file = await files.open(path, 'create')
  try {
    await file.write(bytes, 0)
  } finally {
    await file.close()
  }
}

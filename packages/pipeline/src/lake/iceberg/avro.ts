/**
 * Avro object container files (Avro 1.11 specification, "Object Container Files"), as Iceberg uses
 * them for manifests and manifest lists.
 *
 * avsc encodes and decodes the records. The container is written here, because avsc writes a
 * normalized schema into the header and drops the `field-id` members that Iceberg readers find
 * columns by. Files are deflated, as the reference implementation does by default; both codecs are
 * read. Longs are numbers where a number holds them exactly, else bigints: other writers' ids are
 * 63 bits.
 */
import { createHash } from 'node:crypto'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import avsc from 'avsc'

/** An Avro schema as JSON, with Iceberg's own members in it. */
export type AvroSchema = string | readonly AvroSchema[] | { readonly [member: string]: unknown }

export interface AvroFile {
  /** The header's members as text: `avro.schema`, and what Iceberg adds. */
  readonly metadata: ReadonlyMap<string, string>
  readonly records: readonly unknown[]
}

const MAGIC = Buffer.from('Obj\u0001', 'latin1')
const SYNC_BYTES = 16
/** One block, inflated: a manifest of 100,000 files with all statistics is about 200 MiB. */
const BLOCK_BYTES_MAX = 512 * 1024 * 1024
/** Compiled schemas that are kept; a lake written by one program has two for each table kind. */
const TYPES_CACHED_MAX = 64

interface AbstractLong {
  __with(methods: Record<string, unknown>): avsc.Type
}
const LONG = (avsc.types.LongType as unknown as AbstractLong).__with({
  fromBuffer: (bytes: Buffer) => {
    const value = bytes.readBigInt64LE()
    return Number.isSafeInteger(Number(value)) ? Number(value) : value
  },
  toBuffer: (value: number | bigint) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(value))
    return bytes
  },
  fromJSON: (value: number | bigint) => value,
  toJSON: (value: number | bigint) => value,
  isValid: (value: unknown) => typeof value === 'bigint' || Number.isSafeInteger(value),
  compare: (a: number | bigint, b: number | bigint) => (a < b ? -1 : a > b ? 1 : 0),
})
const HEADER = avsc.Type.forSchema({ type: 'map', values: 'bytes' })
const COUNT = avsc.Type.forSchema('long')

const types = new Map<string, avsc.Type>()

function typeOf(schemaText: string): avsc.Type {
  const known = types.get(schemaText)
  if (known) return known
  const type = avsc.Type.forSchema(JSON.parse(schemaText), {
    wrapUnions: 'never',
    omitRecordMethods: true,
    registry: { long: LONG },
  })
  if (types.size >= TYPES_CACHED_MAX) types.delete(types.keys().next().value!)
  types.set(schemaText, type)
  return type
}

/** One container file with all records in one block; the same input gives the same bytes. */
export function encodeAvroFile(
  schema: AvroSchema,
  metadata: Readonly<Record<string, string>>,
  records: readonly unknown[],
): Uint8Array {
  const schemaText = JSON.stringify(schema)
  const type = typeOf(schemaText)
  const members = { ...metadata, 'avro.schema': schemaText, 'avro.codec': 'deflate' }
  const header = HEADER.toBuffer(
    Object.fromEntries(Object.entries(members).map(([key, text]) => [key, Buffer.from(text)])),
  )
  const block = deflateRawSync(Buffer.concat(records.map((record) => type.toBuffer(record))))
  // The marker only has to be unlikely inside a block: a hash of the block is, and repeats.
  const sync = createHash('sha256').update(block).digest().subarray(0, SYNC_BYTES)
  const parts = [MAGIC, header, sync]
  if (records.length > 0) {
    parts.push(COUNT.toBuffer(records.length), COUNT.toBuffer(block.byteLength), block, sync)
  }
  return Buffer.concat(parts)
}

/** Decodes a whole file by the schema in its own header. Throws on anything that is not one. */
export function decodeAvroFile(bytes: Uint8Array): AvroFile {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (!file.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error('not an Avro file')
  const header = decodeAt(HEADER, file, MAGIC.length)
  const metadata = new Map(
    Object.entries(header.value as Record<string, Buffer>).map(([key, text]) => [
      key,
      text.toString('utf8'),
    ]),
  )
  const type = typeOf(metadata.get('avro.schema') ?? '')
  const inflate = inflaterOf(metadata.get('avro.codec') ?? 'null')
  const sync = file.subarray(header.offset, header.offset + SYNC_BYTES)
  if (sync.length < SYNC_BYTES) throw new Error('Avro header is cut')
  const records: unknown[] = []
  let position = header.offset + SYNC_BYTES
  while (position < file.length) {
    const count = decodeAt(COUNT, file, position)
    const size = decodeAt(COUNT, file, count.offset)
    const end = size.offset + (size.value as number)
    if (!file.subarray(end, end + SYNC_BYTES).equals(sync)) {
      throw new Error(`Avro block at byte ${position} of ${file.length} is torn`)
    }
    const block = inflate(file.subarray(size.offset, end))
    let at = 0
    for (let index = 0; index < (count.value as number); index++) {
      const record = decodeAt(type, block, at)
      records.push(record.value)
      at = record.offset
    }
    position = end + SYNC_BYTES
  }
  return { metadata, records }
}

function decodeAt(type: avsc.Type, bytes: Buffer, position: number) {
  const decoded = type.decode(bytes, position)
  if (decoded.offset < 0) throw new Error(`Avro value at byte ${position} is cut`)
  return decoded as { value: unknown; offset: number }
}

function inflaterOf(codec: string): (block: Buffer) => Buffer {
  if (codec === 'null') return (block) => block
  if (codec === 'deflate') {
    return (block) => inflateRawSync(block, { maxOutputLength: BLOCK_BYTES_MAX })
  }
  throw new Error(`Avro codec ${codec} is not supported`)
}

/**
 * One gzip member (RFC 1952), whole, and nothing behind it.
 *
 * Node's own gunzip joins the members of a concatenation, so that two parsers could read two bodies in
 * one, and says nothing of where it stopped. So the header and the trailer are read here, and only the
 * deflate stream between them is Node's: it tells how many bytes it took. Its output ends at
 * `bytesMax`, however large it would grow.
 */
import { crc32, type InflateRaw, inflateRaw } from 'node:zlib'

export type Unpacked =
  | { readonly ok: true; readonly bytes: Buffer }
  | { readonly ok: false; readonly isTooLarge: boolean; readonly why: string }

const HEADER_BYTES = 10
const TRAILER_BYTES = 8
const DEFLATE = 8
const FLAGS = { headerChecksum: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 }

export function isGzip(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b
}

/** Calls back once. */
export function gunzipOne(bytes: Buffer, bytesMax: number, done: (unpacked: Unpacked) => void) {
  const start = deflateStart(bytes)
  if (start === undefined) return done(refused('no gzip header'))
  // Node gives the engine beside the bytes when it is asked for `info`; its types do not know.
  const options = { maxOutputLength: bytesMax, info: true }
  inflateRaw(bytes.subarray(start), options, (error, result) => {
    if (error !== null) {
      const isTooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
      return done({ ok: false, isTooLarge, why: error.message })
    }
    const { buffer, engine } = result as unknown as { buffer: Buffer; engine: InflateRaw }
    const trailer = start + engine.bytesWritten
    if (trailer + TRAILER_BYTES > bytes.length) return done(refused('the gzip trailer is cut'))
    if (trailer + TRAILER_BYTES < bytes.length) {
      return done(refused(`bytes behind the gzip member, from byte ${trailer + TRAILER_BYTES} on`))
    }
    if (
      bytes.readUInt32LE(trailer) !== crc32(buffer) ||
      bytes.readUInt32LE(trailer + 4) !== buffer.length
    ) {
      return done(refused('the gzip checksum does not fit'))
    }
    done({ ok: true, bytes: buffer })
  })
}

function refused(why: string): Unpacked {
  return { ok: false, isTooLarge: false, why }
}

/** Where the member's deflate stream begins; undefined when its header is none, or cut. */
function deflateStart(bytes: Buffer): number | undefined {
  if (bytes.length < HEADER_BYTES + TRAILER_BYTES || !isGzip(bytes)) return undefined
  const flags = bytes[3]!
  if (bytes[2] !== DEFLATE || (flags & FLAGS.reserved) !== 0) return undefined
  let at = HEADER_BYTES
  if (flags & FLAGS.extra) {
    if (at + 2 > bytes.length) return undefined
    at += 2 + bytes.readUInt16LE(at)
  }
  for (const text of [FLAGS.name, FLAGS.comment]) {
    if ((flags & text) === 0) continue
    const end = bytes.indexOf(0, at)
    if (end < 0) return undefined
    at = end + 1
  }
  if (flags & FLAGS.headerChecksum) at += 2
  return at < bytes.length ? at : undefined
}

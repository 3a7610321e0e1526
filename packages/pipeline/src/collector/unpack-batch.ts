/**
 * Packed columns as event objects, for the batches in which some events are refused.
 *
 * Texts and entries of `data` are put in as the bytes that came: what is wrong with them is found,
 * and said, by the same rules in both forms. The meaning is the protocol's `unpackEvents`; a test
 * compares the two.
 */
import { limits, type Problem, problem } from '@millrace/protocol'
import type { PackedParts } from './packed-shape.ts'

/**
 * As objects a batch takes no more than a body may: a target of a kilobyte that five thousand events
 * name is five megabytes, and the record of a batch with refused events has its own bound.
 */
const UNPACKED_BYTES_MAX = limits.BODY_BYTES_MAX

/** Arrays of at most EVENTS_PER_BATCH_MAX events, in order. */
export function unpackBatch(parts: PackedParts): readonly Buffer[] | Problem {
  const chunks: Buffer[] = []
  let bytes = 0
  for (let from = 0; from < parts.eventCount; from += limits.EVENTS_PER_BATCH_MAX) {
    const to = Math.min(parts.eventCount, from + limits.EVENTS_PER_BATCH_MAX)
    const texts = Array.from({ length: to - from }, (_, index) => eventText(parts, from + index))
    const chunk = Buffer.from(`[${texts.join(',')}]`)
    bytes += chunk.length
    if (bytes > UNPACKED_BYTES_MAX) {
      const detail = `some of ${parts.eventCount} packed events are refused, and as objects all are over ${UNPACKED_BYTES_MAX} bytes`
      return problem('body_too_large', detail, { hint: 'Send fewer packed events in a batch.' })
    }
    chunks.push(chunk)
  }
  return chunks
}

function eventText(parts: PackedParts, place: number): string {
  const { types, targets, columns } = parts
  const target = targets[Number(columns.get('target')?.[place] ?? -1)]
  const data = parts.data.get(String(place)) ?? dataText(parts, place)
  return (
    `{"eventType":${types[Number(columns.get('type')?.[place] ?? 0)]}` +
    `,"timestamp":${parts.t0 + Number(columns.get('t')![place])}` +
    (target === undefined ? '' : `,"target":${target}`) +
    (data === undefined ? '' : `,"data":${data}`) +
    (parts.seq === undefined ? '}' : `,"seq":${parts.seq + place}}`)
  )
}

function dataText({ columns, all }: PackedParts, place: number): string | undefined {
  const x = notNull(columns.get('x')?.[place])
  const y = notNull(columns.get('y')?.[place])
  const offsetOf = (name: string) =>
    columns.has(name) ? notNull(columns.get(name)![place]) : all.get(name)
  const members: readonly (readonly [string, string | undefined])[] = [
    ['clientX', x],
    ['clientY', y],
    ['pageX', sumText(x, offsetOf('offsetX'))],
    ['pageY', sumText(y, offsetOf('offsetY'))],
    ['pointerId', all.get('pointerId')],
    ['pointerType', all.get('pointerType')],
  ]
  const given = members.filter(([, value]) => value !== undefined)
  return given.length === 0
    ? undefined
    : `{${given.map(([name, value]) => `"${name}":${value}`).join(',')}}`
}

const notNull = (text: string | undefined) => (text === 'null' ? undefined : text)

function sumText(x: string | undefined, offset: string | undefined): string | undefined {
  return x === undefined || offset === undefined ? undefined : String(Number(x) + Number(offset))
}

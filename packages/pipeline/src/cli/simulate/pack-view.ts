/**
 * Made-up events as packed columns (docs/formats/wire.md), as the tracker would send them.
 *
 * The tracker has a packer of its own, small enough for a page; this one is for texts that are
 * trusted and of one hand. Both are held to the protocol's `unpackEvents`.
 */
import type { Packed, UnpackedEvent } from '@millrace/protocol'

interface Point {
  readonly clientX: number
  readonly clientY: number
  readonly pageX: number
  readonly pageY: number
  readonly pointerId: number
  readonly pointerType: string
}
const POINT_MEMBERS = 'clientX clientY pageX pageY pointerId pointerType'

const isPoint = (data: object): data is Point => Object.keys(data).join(' ') === POINT_MEMBERS

/** JSON text of the columns of events that follow each other on one page, given as JSON texts. */
export function packView(texts: readonly string[]): string {
  const events = texts.map((text) => JSON.parse(text) as UnpackedEvent & { data: object })
  const t0 = Math.min(...events.map(({ timestamp }) => timestamp as number))
  const types = [...new Set(events.map(({ eventType }) => eventType))]
  const targets = [...new Set(events.flatMap(({ target }) => target ?? []))]
  const points = events.map(({ data }) => (isPoint(data) ? data : undefined))
  const column = (read: (point: Point) => number) =>
    points.map((point) => (point === undefined ? 0 : read(point)))
  const first = points.find((point) => point !== undefined)
  const others = events.flatMap(({ data }, at) => (points[at] === undefined ? [[at, data]] : []))
  const packed: Packed = {
    v: 1,
    t0,
    types,
    t: events.map(({ timestamp }) => (timestamp as number) - t0),
    type: events.map(({ eventType }) => types.indexOf(eventType)),
    seq: events[0]!.seq as number,
    ...(targets.length > 0 && {
      targets,
      target: events.map(({ target }) => targets.indexOf(target ?? '')),
    }),
    ...(first !== undefined && {
      x: column(({ clientX }) => clientX),
      y: column(({ clientY }) => clientY),
      offsetX: column(({ clientX, pageX }) => pageX - clientX),
      offsetY: column(({ clientY, pageY }) => pageY - clientY),
      all: { pointerId: first.pointerId, pointerType: first.pointerType },
    }),
    data: Object.fromEntries(others),
  }
  return JSON.stringify(packed)
}

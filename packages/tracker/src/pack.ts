/**
 * Events as packed columns, a tenth of the bytes of objects (docs/formats/wire.md, `packed`).
 *
 * What a hand does with one pointer goes into columns of numbers; every other event's data goes along
 * as the JSON text it is. A few events are shorter as objects, and are then sent so.
 */
import {
  PACKED_EVENTS_MAX,
  PACKED_SPAN_MAX_MS,
  PACKED_TARGETS_MAX,
  PACKED_TYPES_MAX,
} from './limits.ts'
import { rounded } from './listen.ts'

/** A place on the page and who is there: the data of a move, and of nothing else. */
export interface Point {
  readonly x: number
  readonly y: number
  readonly offsetX: number
  readonly offsetY: number
  readonly pointerId: number
  readonly pointerType: string
}

export interface Happened {
  readonly eventType: string
  readonly timestamp: number
  readonly target: string | undefined
  readonly seq: number
  /** The point that is its data, or its data as JSON text; undefined if there is none. */
  readonly data: Point | string | undefined
}

/** Up to so many events, objects may be shorter than columns. */
const OBJECTS_MAX = 3
/** clientX, clientY, pageX, pageY, pointerId, pointerType. */
const POINT_MEMBERS = 6
/** Far more pixels than any page has; a script may dispatch anything. */
const PIXELS_MAX = 1e9

/** The offset that gives exactly the page's coordinate when it is added to the window's. */
function offsetOf(client: number, page: number): number {
  const short = rounded(page - client)
  return client + short === page ? short : page - client
}

const isPixels = (value: unknown): value is number =>
  typeof value === 'number' && Math.abs(value) < PIXELS_MAX

/** Undefined when the data is more, less or other than a point. */
export function pointOf(data: { readonly [key: string]: unknown }): Point | undefined {
  const { clientX: x, clientY: y, pageX, pageY, pointerId, pointerType } = data
  const given = Object.keys(data).filter((key) => data[key] !== undefined)
  if (given.length !== POINT_MEMBERS || !/^(mouse|pen|touch)$/.test(`${pointerType}`)) return
  if (!isPixels(x) || !isPixels(y) || !isPixels(pageX) || !isPixels(pageY)) return
  if (!isPixels(pointerId) || pointerId < 0 || pointerId % 1) return
  const offsetX = offsetOf(x, pageX)
  const offsetY = offsetOf(y, pageY)
  if (x + offsetX !== pageX || y + offsetY !== pageY) return
  return { x, y, offsetX, offsetY, pointerId, pointerType: pointerType as string }
}

function jsonOf(data: Point | string | undefined): string | undefined {
  if (typeof data !== 'object') return data
  const { x, y, offsetX, offsetY, pointerId, pointerType } = data
  const page = { pageX: x + offsetX, pageY: y + offsetY }
  return JSON.stringify({ clientX: x, clientY: y, ...page, pointerId, pointerType })
}

/** How many events from the front may be packed together, whatever their bytes. */
export function runLength(events: readonly Happened[]): number {
  const types = new Set<string>()
  const targets = new Set<string>()
  let first = Number.POSITIVE_INFINITY
  let last = 0
  for (const [count, { eventType, target, timestamp, seq }] of events.entries()) {
    types.add(eventType)
    if (target !== undefined) targets.add(target)
    first = Math.min(first, timestamp)
    last = Math.max(last, timestamp)
    if (
      count === PACKED_EVENTS_MAX ||
      seq !== events[0]!.seq + count ||
      types.size > PACKED_TYPES_MAX ||
      targets.size > PACKED_TARGETS_MAX ||
      last - first > PACKED_SPAN_MAX_MS
    ) {
      return count
    }
  }
  return events.length
}

/** The envelope's member that holds the events: the shorter of the two forms. */
export function contentOf(events: readonly Happened[]): string {
  const columns = packedOf(events)
  const objects = events.length > OBJECTS_MAX ? columns : objectsOf(events)
  return objects.length < columns.length ? objects : columns
}

function objectsOf(events: readonly Happened[]): string {
  const texts = events.map(({ eventType, timestamp, target, data, seq }) => {
    const json = jsonOf(data)
    const head = JSON.stringify({ eventType, timestamp, target, seq })
    return json === undefined ? head : `${head.slice(0, -1)},"data":${json}}`
  })
  return `"events":[${texts.join(',')}]`
}

/** Gives each text that comes by its place, from 0. */
function dictionary() {
  const places = new Map<string, number>()
  return {
    places,
    placeOf(text: string): number {
      if (!places.has(text)) places.set(text, places.size)
      return places.get(text)!
    },
  }
}

function packedOf(events: readonly Happened[]): string {
  const t0 = Math.min(...events.map(({ timestamp }) => timestamp))
  const types = dictionary()
  const targets = dictionary()
  const isPoint = (data: Happened['data']): data is Point => typeof data === 'object'
  const all = events.map(({ data }) => data).find(isPoint)
  const points: Point[] = []
  const data: string[] = []
  // A number costs less than null where the columns say nothing.
  const nowhere = { x: 0, y: 0, offsetX: 0, offsetY: 0 }
  const places = events.map((event, place) => {
    const point = isPoint(event.data) ? event.data : undefined
    const { pointerId, pointerType } = point ?? {}
    if (point && pointerId === all!.pointerId && pointerType === all!.pointerType) {
      points.push(point)
      return point
    }
    data.push(`"${place}":${jsonOf(event.data) ?? '{}'}`)
    return nowhere
  })
  const type = events.map(({ eventType }) => types.placeOf(eventType))
  const target = events.map((each) =>
    each.target === undefined ? -1 : targets.placeOf(each.target),
  )
  const column = (name: keyof typeof nowhere) => places.map((place) => place[name])
  const isSame = (name: keyof typeof nowhere) => points.every((each) => each[name] === all![name])
  const columns: { [name: string]: unknown } = {
    v: 1,
    t0,
    types: [...types.places.keys()],
    t: events.map(({ timestamp }) => timestamp - t0),
    seq: events[0]!.seq,
  }
  if (types.places.size > 1) columns.type = type
  if (targets.places.size > 0) {
    columns.targets = [...targets.places.keys()]
    columns.target = target
  }
  if (all) {
    const { pointerId, pointerType } = all
    const common: { [name: string]: unknown } = { pointerId, pointerType }
    for (const name of ['offsetX', 'offsetY'] as const) {
      if (isSame(name)) common[name] = all[name]
      else columns[name] = column(name)
    }
    Object.assign(columns, { x: column('x'), y: column('y'), all: common })
  }
  const entries = data.length > 0 ? `,"data":{${data.join(',')}}` : ''
  return `"packed":${JSON.stringify(columns).slice(0, -1)}${entries}}`
}

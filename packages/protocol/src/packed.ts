/**
 * Packed columns: the events of one page view as columns instead of objects, a tenth of the bytes.
 *
 * A hand that moves makes events that differ in five numbers. Here each number is an element of an
 * array, each text stands once, and what is the same for all is said once (`all`). What is no such
 * event has its whole `data` in `data`, under the event's place. The schema is the specification of
 * the shape, `unpackEvents` of the meaning: the door, the live feed and the SQL over the log are held
 * to it by tests. Everything else that an event has comes from the envelope around it.
 */
import { type Static, Type } from 'typebox'
import { Event } from './event.ts'
import * as limits from './limits.ts'

const columnOf = <T extends Type.TSchema>(element: T, description: string) =>
  Type.Optional(Type.Array(element, { maxItems: limits.PACKED_EVENTS_MAX, description }))
const coordinate = (description?: string) =>
  Type.Number({
    minimum: -limits.COORDINATE_MAX,
    maximum: limits.COORDINATE_MAX,
    ...(description === undefined ? {} : { description }),
  })
const coordinateColumn = (description: string) =>
  columnOf(Type.Union([coordinate(), Type.Null()]), description)

export const Packed = Type.Object(
  {
    v: Type.Literal(1, { description: 'Version of this form' }),
    t0: Type.Integer({ minimum: 0, maximum: limits.EPOCH_MAX_MS, description: 'Epoch ms' }),
    types: Type.Array(Event.properties.eventType, {
      minItems: 1,
      maxItems: limits.PACKED_TYPES_MAX,
      description: 'Event types that occur',
    }),
    targets: Type.Optional(
      Type.Array(Type.String({ maxLength: limits.TARGET_LENGTH_MAX }), {
        maxItems: limits.PACKED_TARGETS_MAX,
        description: 'Targets that occur',
      }),
    ),
    t: Type.Array(Type.Integer({ minimum: 0, maximum: limits.PACKED_SPAN_MAX_MS }), {
      minItems: 1,
      maxItems: limits.PACKED_EVENTS_MAX,
      description: 'Milliseconds since t0, one for each event',
    }),
    type: columnOf(
      Type.Integer({ minimum: 0, maximum: limits.PACKED_TYPES_MAX - 1 }),
      'Place in types; absent: all 0',
    ),
    target: columnOf(
      Type.Integer({ minimum: -1, maximum: limits.PACKED_TARGETS_MAX - 1 }),
      'Place in targets, -1: none; absent: none',
    ),
    seq: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: limits.INTEGER_MAX,
        description: 'Event i has seq + i',
      }),
    ),
    x: coordinateColumn('data.clientX'),
    y: coordinateColumn('data.clientY'),
    offsetX: coordinateColumn('data.pageX is x + offsetX'),
    offsetY: coordinateColumn('data.pageY is y + offsetY'),
    all: Type.Optional(
      Type.Object(
        {
          offsetX: Type.Optional(coordinate('For all events, where the column is absent')),
          offsetY: Type.Optional(coordinate('For all events, where the column is absent')),
          pointerId: Type.Optional(
            Type.Integer({ minimum: -limits.INTEGER_MAX, maximum: limits.INTEGER_MAX }),
          ),
          pointerType: Type.Optional(Type.String({ maxLength: limits.POINTER_TYPE_LENGTH_MAX })),
        },
        { additionalProperties: false, description: 'Values of all events not in data' },
      ),
    ),
    data: Type.Optional(
      Type.Record(Type.String({ pattern: '^(?:0|[1-9][0-9]{0,3})$' }), Type.Object({}), {
        additionalProperties: false,
        description:
          'Place of an event, decimal: its whole data; the columns then say nothing of it',
      }),
    ),
  },
  { additionalProperties: false },
)
export type Packed = Static<typeof Packed>

/** What `packed` says of an event; the rest is its envelope's. */
export type UnpackedEvent = Required<Pick<Event, 'eventType' | 'timestamp'>> &
  Pick<Event, 'target' | 'seq' | 'data'>

/** The first `countMax` events. `packed` is one that the door has taken. */
export function unpackEvents(packed: Packed, countMax = packed.t.length): UnpackedEvent[] {
  return packed.t.slice(0, countMax).map((sinceMs, place) => {
    const target = packed.targets?.[packed.target?.[place] ?? -1]
    const data = dataOf(packed, place)
    return {
      eventType: packed.types[packed.type?.[place] ?? 0]!,
      timestamp: packed.t0 + sinceMs,
      ...(target === undefined ? {} : { target }),
      ...(data === undefined ? {} : { data }),
      ...(packed.seq === undefined ? {} : { seq: packed.seq + place }),
    }
  })
}

function dataOf(packed: Packed, place: number): Record<string, unknown> | undefined {
  const { all, data } = packed
  if (data !== undefined && Object.hasOwn(data, String(place))) {
    return data[place] as Record<string, unknown>
  }
  const x = packed.x?.[place] ?? undefined
  const y = packed.y?.[place] ?? undefined
  const offsetX = packed.offsetX === undefined ? all?.offsetX : packed.offsetX[place]
  const offsetY = packed.offsetY === undefined ? all?.offsetY : packed.offsetY[place]
  const members = Object.entries({
    clientX: x,
    clientY: y,
    pageX: sumOf(x, offsetX),
    pageY: sumOf(y, offsetY),
    pointerId: all?.pointerId,
    pointerType: all?.pointerType,
  }).filter(([, value]) => value !== undefined)
  return members.length === 0 ? undefined : Object.fromEntries(members)
}

function sumOf(x: number | undefined, offset: number | null | undefined): number | undefined {
  return x === undefined || offset === undefined || offset === null ? undefined : x + offset
}

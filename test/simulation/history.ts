/**
 * What may happen to a server and its disk, as data, and how fast-check draws it.
 *
 * Sizes are chosen so that one history meets several segments, groups of several batches, blocks
 * torn in the midst of a record, and more than one power loss; times are turns of the event loop, in
 * each of which the disk takes one call.
 */
import fc from 'fast-check'

export interface BatchShape {
  readonly tenantNo: number
  readonly sourceNo: number
  readonly eventCount: number
  readonly rejectedCount: number
  /** Of each event's filler. */
  readonly fillBytes: number
  /** Event ids are drawn from so many; 0: the events carry none. */
  readonly eventIds: number
}

export type Action =
  /** Batches that arrive in one turn. */
  | { readonly act: 'append'; readonly batches: readonly BatchShape[] }
  /** A batch that was sent before, answered or not, is sent again. */
  | { readonly act: 'again'; readonly which: number }
  | { readonly act: 'turns'; readonly count: number }
  /** Waits for every answer that is still to come. */
  | { readonly act: 'settle' }
  /** Reads all there is: what readers saw once is promised too. */
  | { readonly act: 'read' }
  /** One tenant's next records go to the lake, or two processes take the same job. */
  | {
      readonly act: 'deliver'
      readonly tenantNo: number
      readonly writers: 1 | 2
      readonly bytesMax: number
    }
  /** The call of the disk after so many others fails. */
  | { readonly act: 'fail'; readonly calls: number; readonly errno: string }
  /** Some last batches, and the process dies; so do the starts after it, until one is let through. */
  | {
      readonly act: 'die'
      readonly batches: readonly BatchShape[]
      readonly deaths: readonly Death[]
    }

/** `kill` leaves the page cache, `crash` takes the power. */
export interface Death {
  readonly how: 'kill' | 'crash'
  /** After the batches, or after the start began. */
  readonly turns: number
}

export interface History {
  readonly seed: number
  /** Cuts the first start short. */
  readonly first: Death
  readonly segmentBytesMax: number
  readonly actions: readonly Action[]
}

export const TENANTS = [1, 2, 3] as const

const batch: fc.Arbitrary<BatchShape> = fc.record({
  tenantNo: fc.constantFrom(...TENANTS),
  sourceNo: fc.constantFrom(1, 2),
  eventCount: fc.integer({ min: 0, max: 3 }),
  rejectedCount: fc.constantFrom(0, 0, 1),
  fillBytes: fc.constantFrom(0, 40, 300, 2_000),
  eventIds: fc.constantFrom(0, 0, 4),
})

const batches = fc.array(batch, { minLength: 1, maxLength: 5 })
const append: fc.Arbitrary<Action> = fc.record({ act: fc.constant('append' as const), batches })
const again = fc.record({ act: fc.constant('again' as const), which: fc.nat(1_000) })
const turns = fc.record({ act: fc.constant('turns' as const), count: fc.nat(12) })
const settle = fc.constant({ act: 'settle' as const })
const read = fc.constant({ act: 'read' as const })
const deliver: fc.Arbitrary<Action> = fc.record({
  act: fc.constant('deliver' as const),
  tenantNo: fc.constantFrom(...TENANTS),
  writers: fc.constantFrom(1, 1, 2),
  bytesMax: fc.constantFrom(1, 2_000, 1_000_000),
})
const fail = fc.record({
  act: fc.constant('fail' as const),
  calls: fc.integer({ min: 1, max: 30 }),
  errno: fc.constantFrom('ENOSPC', 'EIO', 'EMFILE'),
})
/** Most come while something is under way: a group takes some ten turns, a start some thirty. */
const death: fc.Arbitrary<Death> = fc.record({
  how: fc.constantFrom('crash', 'crash', 'kill'),
  turns: fc.oneof(fc.nat(10), fc.nat(40)),
})
const die: fc.Arbitrary<Action> = fc.record({
  act: fc.constant('die' as const),
  batches: fc.oneof(fc.constant([]), batches),
  deaths: fc.array(death, { minLength: 1, maxLength: 3 }),
})

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: append },
  { weight: 2, arbitrary: again },
  { weight: 3, arbitrary: turns },
  { weight: 3, arbitrary: settle },
  { weight: 1, arbitrary: read },
  { weight: 5, arbitrary: deliver },
  { weight: 1, arbitrary: fail },
  { weight: 4, arbitrary: die },
)

export const history: fc.Arbitrary<History> = fc.record({
  seed: fc.nat(0x7fffffff),
  first: death,
  segmentBytesMax: fc.constantFrom(1, 700, 3_000, 20_000),
  actions: fc.array(action, { minLength: 3, maxLength: 14, size: 'max' }),
})

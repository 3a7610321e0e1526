/**
 * Packed columns for differential tests, and a reference that judges them slowly and plainly: a tree
 * of the text for the shape, and each event written as an object and judged as such
 * (event-bodies.ts).
 */
import { DATA_COLUMNS, limits, Packed, unpackEvents } from '@millrace/protocol'
import fc from 'fast-check'
import { isAcceptable, NASTY_VALUES, type Node, treeOf } from './event-bodies.ts'

/** Null: the shape is wrong. Else each event as an object with a path, and whether it is accepted. */
export function judgePacked(
  text: string,
): readonly { readonly text: string; readonly isAccepted: boolean }[] | null {
  const tree = treeOf(text)
  if (!hasShape(tree)) return null
  const nodes = new Map(tree.members)
  const entries = new Map(nodes.get('data')?.members)
  const value = JSON.parse(text) as Packed
  return unpackEvents(value).map((event, place) => {
    const type = value.type?.[place] ?? 0
    const target = value.target?.[place] ?? -1
    const data = entries.get(String(place))?.text ?? JSON.stringify(event.data)
    const members = {
      eventType: nodes.get('types')!.elements![type]!.text,
      timestamp: String(event.timestamp),
      path: '"/"',
      ...(target < 0 ? {} : { target: nodes.get('targets')!.elements![target]!.text }),
      ...(data === undefined ? {} : { data }),
      ...(event.seq === undefined ? {} : { seq: String(event.seq) }),
    }
    const object = `{${Object.entries(members)
      .map(([name, one]) => `"${name}":${one}`)
      .join(',')}}`
    return { text: object, isAccepted: isAcceptable(treeOf(object)) }
  })
}

const isUnique = (names: readonly string[]) => new Set(names).size === names.length
const isWhole = (node: Node | undefined, least: number, most: number) =>
  node !== undefined &&
  /^(?:-1|0|[1-9]\d*)$/.test(node.text) &&
  Number(node.text) >= least &&
  Number(node.text) <= most
const isText = (node: Node, lengthMax = Number.POSITIVE_INFINITY) =>
  node.text.startsWith('"') && (JSON.parse(node.text) as string).length <= lengthMax
const isCoordinate = (node: Node) =>
  /^[-\d]/.test(node.text) && Math.abs(Number(node.text)) <= limits.COORDINATE_MAX

function hasShape({ members }: Node): boolean {
  if (members === undefined || !isUnique(members.map(([name]) => name))) return false
  const nodes = new Map(members)
  if ([...nodes.keys()].some((name) => !(name in Packed.properties))) return false
  if (nodes.get('v')?.text !== '1') return false
  if (!isWhole(nodes.get('t0'), 0, limits.EPOCH_MAX_MS)) return false
  if (nodes.has('seq') && !isWhole(nodes.get('seq'), 0, limits.INTEGER_MAX)) return false
  const types = nodes.get('types')?.elements ?? []
  const targets = nodes.has('targets') ? nodes.get('targets')!.elements : []
  if (types.length < 1 || types.length > limits.PACKED_TYPES_MAX) return false
  if (targets === undefined || targets.length > limits.PACKED_TARGETS_MAX) return false
  if (![...types, ...targets].every((one) => isText(one))) return false
  const count = nodes.get('t')?.elements?.length ?? 0
  if (count < 1 || count > limits.PACKED_EVENTS_MAX) return false
  const columns: Record<string, (node: Node) => boolean> = {
    t: (node) => isWhole(node, 0, limits.PACKED_SPAN_MAX_MS),
    type: (node) => isWhole(node, 0, types.length - 1),
    target: (node) => isWhole(node, -1, targets.length - 1),
  }
  for (const name of ['x', 'y', 'offsetX', 'offsetY'])
    columns[name] = (node) => node.text === 'null' || isCoordinate(node)
  for (const [name, isGood] of Object.entries(columns)) {
    if (!nodes.has(name)) continue
    const { elements } = nodes.get(name)!
    if (elements?.length !== count || !elements.every(isGood)) return false
  }
  return hasAll(nodes.get('all')) && hasData(nodes.get('data'), count)
}

function hasAll(all: Node | undefined): boolean {
  if (all === undefined) return true
  const { members } = all
  if (members === undefined || !isUnique(members.map(([name]) => name))) return false
  return members.every(([name, node]) => {
    if (name === 'pointerType') return isText(node, limits.POINTER_TYPE_LENGTH_MAX)
    if (name === 'pointerId') {
      const isPlain = /^(?:0|-?[1-9]\d*)$/.test(node.text)
      return isPlain && Math.abs(Number(node.text)) <= limits.INTEGER_MAX
    }
    return (name === 'offsetX' || name === 'offsetY') && isCoordinate(node)
  })
}

function hasData(data: Node | undefined, count: number): boolean {
  if (data === undefined) return true
  const names = data.members?.map(([name]) => name)
  return (
    names !== undefined &&
    isUnique(names) &&
    names.every((name) => /^(?:0|[1-9]\d*)$/.test(name) && Number(name) < count)
  )
}

const pick = (...values: string[]) => fc.constantFrom(...values)
const often = (usual: fc.Arbitrary<string>, ...odd: string[]) =>
  fc.oneof({ weight: 60, arbitrary: usual }, { weight: 1, arbitrary: pick(...odd) })
const number = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -50, max: 3_000 }).map(String) },
  {
    weight: 3,
    arbitrary: fc.double({ noNaN: true, min: -1e300, max: 1e300 }).map((n) => JSON.stringify(n)),
  },
  { weight: 1, arbitrary: pick('null', '-0', '1.50', '1e3', '-2E-2', '12345678901234567') },
)
const coordinate = often(number, '1e301', '1e400', '"1"', 'true', '[1]', `1${'0'.repeat(301)}`)
const odd = ['-0', '1.0', '1e0', '-1', '99', 'null', '"0"', '2147483648', '86400001', '[]']
const text = pick('"a"', '"#buy"', '"é"', '"\\u0041"', '"main > a"', '"😀"', '"\\ud83d\\ude00"')
const oddTexts = ['""', '"\\ud800"', '"a\\n"', `"${'x'.repeat(1_025)}"`, '1', 'null', '["a"]']
const dataKey = fc.oneof(
  fc.constantFrom(...Object.keys(DATA_COLUMNS)),
  pick('own', 'client\\u0058', '__proto__'),
)
const entry = often(
  fc
    .array(fc.tuple(dataKey, fc.oneof(pick(...NASTY_VALUES), number, text)), { maxLength: 3 })
    .map((members) => `{${members.map(([name, one]) => `"${name}":${one}`).join(', ')}}`),
  'null',
  '[]',
  '7',
  '{"a":1,"a":2}',
)

/** An array of `count` elements, rarely one more or fewer. */
const column = (element: fc.Arbitrary<string>, count: number) =>
  fc
    .tuple(fc.array(element, { minLength: count + 1, maxLength: count + 1 }), fc.nat(60))
    .map(([elements, dice]) => {
      const length = dice === 0 ? count + 1 : dice === 1 ? count - 1 : count
      return `[${elements.slice(0, length).join(dice < 20 ? ', ' : ',')}]`
    })

type Members = readonly (readonly [string, string])[]
const maybe = (name: string, value: fc.Arbitrary<string>): fc.Arbitrary<Members> =>
  fc.oneof(
    value.map((one) => [[name, one]] as const),
    fc.constant([]),
  )
const surely = (name: string, value: fc.Arbitrary<string>): fc.Arbitrary<Members> =>
  value.map((one) => [[name, one]] as const)

function membersOf(count: number, types: number, targets: number): fc.Arbitrary<Members> {
  const whole = (most: number) => often(fc.nat(Math.max(0, most)).map(String), ...odd)
  const all = fc
    .tuple(
      maybe('offsetX', coordinate),
      maybe('offsetY', coordinate),
      maybe('pointerId', often(fc.integer({ min: -5, max: 5 }).map(String), ...odd)),
      maybe('pointerType', often(pick('"mouse"', '"pen"', '""'), ...oddTexts)),
    )
    .map((members) => `{${members.flat().map(([name, one]) => `"${name}":${one}`)}}`)
  const data = fc
    .uniqueArray(fc.nat(count - 1), { maxLength: 3 })
    .chain((places) =>
      fc.tuple(fc.constant(places), fc.array(entry, { minLength: 4, maxLength: 4 }), fc.nat(40)),
    )
    .map(([places, entries, dice]) => {
      const names = places.map((place) => (dice === 0 ? `0${place}` : String(place)))
      if (dice === 1) names.push(names[0] ?? String(count))
      return `{${names.map((name, at) => `"${name}":${entries[at]}`).join(',')}}`
    })
  return fc
    .tuple(
      surely('v', often(pick('1'), '2', '"1"', '1.0')),
      surely('t0', often(pick('0', '1574000000000', '253402300799999'), ...odd)),
      surely('types', column(often(text, ...oddTexts), types)),
      maybe('targets', column(often(text, ...oddTexts), targets)),
      surely('t', column(whole(limits.PACKED_SPAN_MAX_MS), count)),
      maybe('type', column(whole(types - 1), count)),
      maybe(
        'target',
        column(often(fc.integer({ min: -1, max: targets - 1 }).map(String), ...odd), count),
      ),
      maybe('seq', often(pick('0', '7', '2147483646'), ...odd)),
      fc.tuple(
        ...['x', 'y', 'offsetX', 'offsetY'].map((name) => maybe(name, column(coordinate, count))),
      ),
      maybe('all', often(all, '[]', 'null', '{"x":1}')),
      maybe('data', often(data, '[]', 'null')),
    )
    .map(([v, t0, names, targetNames, t, type, target, seq, columns, ...rest]) =>
      [v, t0, names, targetNames, t, type, target, seq, ...columns, ...rest].flat(),
    )
}

/** An object of packed columns, mostly good; the order of its members is any. */
export const packedText: fc.Arbitrary<string> = fc
  .tuple(
    fc.integer({ min: 1, max: 6 }),
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 3 }),
  )
  .chain(([count, types, targets]) => membersOf(count, types, targets))
  .chain((members) =>
    fc.tuple(
      fc.shuffledSubarray([...members], { minLength: members.length, maxLength: members.length }),
      fc.nat(60),
      pick(':', ': ', ':\n\t'),
    ),
  )
  .map(([members, dice, colon]) => {
    const changed = dice === 0 ? members.slice(1) : dice === 1 ? [...members, members[0]!] : members
    const all = dice === 2 ? [...changed, ['more', '1'] as const] : changed
    return `{${all.map(([name, value]) => `"${name}"${colon}${value}`).join(dice < 30 ? ',' : ' ,\n')}}`
  })

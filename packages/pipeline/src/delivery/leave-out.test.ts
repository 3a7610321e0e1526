import { describe, expect, test } from 'vitest'
import type { LeftOut } from './delivery-job.ts'
import { damagedLine, leaveOut } from './leave-out.ts'

const TEXTS = ['{"a":1.0,"s":"]},{\\"\\\\"}', ' {"b":[1,{"c":"é"}]}', '{"d":12345678901234567890}']

function line(more: Record<string, string> = {}): string {
  const members = {
    o: '7',
    t: '1',
    s: '2',
    r: '5',
    q: 'null',
    b: '"id, \\"e\\":[ ]"',
    n: '3',
    f: '0',
    i: 'null',
    d: '{"path":"/[\\"}"}',
    c: '{"bot":false}',
    e: `[${TEXTS.join(',')}]`,
    p: 'null',
    x: 'null',
    k: '"00000000"',
    ...more,
  }
  const parts = Object.entries(members).map(([name, value]) => `"${name}":${value}`)
  return `{${parts.join(',')}}\n`
}

const out = (ranges: LeftOut['ranges'], how: LeftOut['how'] = 'events', offset = 7): LeftOut => {
  return { offset, how, ranges, detail: 'why' }
}

function changed(text: string, what: LeftOut) {
  const { lines, leftOutCount } = leaveOut(Buffer.from(text), what)
  return { text: Buffer.from(lines).toString(), leftOutCount }
}

describe('leaving out', () => {
  test('one event moves its text to the refused, and the others stay byte for byte', () => {
    const { text, leftOutCount } = changed(line(), out([[1, 2]]))
    expect(leftOutCount).toBe(1)
    expect(text).toContain(`"e":[${TEXTS[0]},${TEXTS[2]}],"p":null,"x":[{`)
    expect(text.endsWith('}\n')).toBe(true)
    expect(JSON.parse(text)).toMatchObject({
      n: 2,
      i: [0, 2],
      d: { path: '/["}' },
      x: [
        {
          index: 1,
          stage: 'delivery',
          code: 'undeliverable',
          detail: 'why',
          pointer: '',
          raw: TEXTS[1]!.trim(),
        },
      ],
    })
  })

  test('names events by their places in the batch as sent, beside those that the door refused', () => {
    const x = '[{"index":0,"code":"empty","detail":"d","pointer":"","raw":"{}"}]'
    const { text } = changed(
      line({ i: '[1,2,5]', x }),
      out([
        [0, 1],
        [2, 3],
      ]),
    )
    expect(text).toContain(x.slice(1, -1))
    expect(JSON.parse(text)).toMatchObject({
      n: 1,
      i: [2],
      x: [{ index: 0 }, { index: 1 }, { index: 5 }],
    })
  })

  test('all events leaves a record without any', () => {
    expect(JSON.parse(changed(line(), out([[0, 3]])).text)).toMatchObject({ n: 0, e: null })
  })

  test('nothing, or of a record that is not there, changes no byte of an event', () => {
    expect(changed(line(), out([]))).toEqual({ text: line(), leftOutCount: 0 })
    const other = out([[0, 3]], 'record', 70)
    expect(changed(line(), other)).toEqual({ text: line(), leftOutCount: 0 })
  })

  test('touches the one record among others', () => {
    const before = line({ o: '6' })
    const after = line({ o: '8' })
    const { text } = changed(before + line() + after, out([[0, 3]]))
    expect([text.startsWith(before), text.endsWith(after)]).toEqual([true, true])
  })

  test('the whole record makes one row of it, with or without its text', () => {
    const whole = JSON.parse(changed(line(), out([], 'record')).text)
    expect(whole).toMatchObject({ n: 0, d: {}, c: {}, e: null, x: [{ index: -1 }] })
    expect(whole.x[0].detail).toBe('3 events of one record: why')
    expect(whole.x[0].raw).toContain(TEXTS[2])
    const { text, leftOutCount } = changed(line(), out([], 'bare'))
    expect([JSON.parse(text).x[0].raw, leftOutCount]).toEqual(['', 3])
  })

  test('packed columns go as a whole, or not at all', () => {
    const packed = line({ e: 'null', p: '{"v":1,"t":[0,1,2]}' })
    const { text, leftOutCount } = changed(packed, out([[0, 1]]))
    expect(leftOutCount).toBe(3)
    expect(JSON.parse(text)).toMatchObject({ p: null, x: [{ raw: '{"v":1,"t":[0,1,2]}' }] })
    expect(changed(packed, out([]))).toEqual({ text: packed, leftOutCount: 0 })
  })

  test('keeps as much text as the door, and never half a character', () => {
    const long = `["${'a'.repeat(4_093)}😀${'b'.repeat(99)}"]`
    const [rejection] = JSON.parse(changed(line({ n: '1', e: `[${long}]` }), out([[0, 1]])).text).x
    expect(rejection.raw).toHaveLength(4_096)
    expect(rejection.raw.endsWith('�')).toBe(true)
  })
})

test('damaged records are one row that says how many there were', () => {
  const counts = { events: 30, records: 2, fromOffset: 5 }
  const row = JSON.parse(damagedLine(90, 1, 1_000, counts).toString())
  expect(row).toMatchObject({ o: 90, t: 1, r: 1_000, n: 0, e: null })
  expect(row.x).toMatchObject([{ index: -2, stage: 'delivery', code: 'damaged' }])
  expect(row.x[0].detail).toContain('30 events in 2 records from offset 5 to 90')
})

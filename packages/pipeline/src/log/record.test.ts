import { describe, expect, test } from 'vitest'
import { crc32, readHex8, writeHex8 } from '../kit/checksum.ts'
import { entryOf } from './event-log.contract.ts'
import { appendRecord, checkLine, lineEndCheck, readHead, Slab } from './record.ts'
import { scanSegment } from './segment.ts'

/** One record as bytes, and its k. */
function line(more = {}, offset = 0, seed = 7): { bytes: Buffer; k: number } {
  const slab = new Slab(64)
  const k = appendRecord(slab, entryOf('b', 2, more), offset, seed)
  return { bytes: Buffer.from(slab.buffer.subarray(0, slab.length)), k }
}

test('a line is exactly the format of the page, byte for byte', () => {
  const entry = entryOf('b-1', 1, { events: Buffer.from('[{"a": 1}]'), indexes: [1], sentMs: null })
  const rejection = { index: 0, code: 'empty', detail: 'd', pointer: '/p', raw: '"' } as const
  const slab = new Slab(16)
  appendRecord(slab, { ...entry, flags: 2, rejections: [rejection] }, 41, 0)
  const body =
    '{"o":41,"t":1,"s":1,"r":1700000000000,"q":null,"b":"b-1","n":1,"f":2,"i":[1]' +
    ',"d":{"visitorId":"v1"},"c":{"browser":"Firefox","os":null,"bot":false},"e":[{"a": 1}]' +
    ',"p":null,"x":[{"index":0,"code":"empty","detail":"d","pointer":"/p","raw":"\\""}]'
  const k = crc32(Buffer.from(body), 0).toString(16).padStart(8, '0')
  expect(slab.buffer.toString('utf8', 0, slab.length)).toBe(`${body},"k":"${k}"}\n`)
})

test('packed columns stand in the place of events, and their batch has none refused', () => {
  const packed = Buffer.from('{"v":1,"types":["a\\",\\"x\\":[1]"]}')
  const { bytes } = line({ packed, events: Buffer.from('[]'), eventCount: 5_000 })
  expect(bytes.toString()).toContain(`,"e":null,"p":${packed},"x":null,"k":"`)
  expect(readHead(bytes, 0, bytes.length)).toMatchObject({
    batchId: 'b',
    acceptedCount: 5_000,
    rejectedCount: 0,
  })
})

test('every single flipped bit of a line is found', () => {
  const { bytes, k } = line()
  expect(checkLine(bytes, 0, bytes.length, 7)).toBe(k)
  expect(lineEndCheck(bytes, bytes.length)).toBe(k)
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    if (checkLine(bytes, 0, bytes.length, 7) !== undefined) expect.fail(`bit ${bit}`)
    bytes[bit >> 3]! ^= 1 << (bit & 7)
  }
})

test('a line after another line than its own predecessor does not check out', () => {
  const { bytes } = line()
  expect(checkLine(bytes, 0, bytes.length, 8)).toBeUndefined()
})

test('the head is read without the events, and names inside strings do not mislead it', () => {
  const trap = '{"x":"\\",\\"d\\":","y":",\\"p\\":null,\\"x\\":null"}'
  const raw = ',"d":{},"p":null,"x":[1,2,3],"k":"00000000"}'
  const rejection = { index: 0, code: 'empty', detail: raw, pointer: '', raw }
  const { bytes } = line({
    batchId: 'a","d":',
    defaults: trap,
    events: Buffer.from(`[{"p":null,"x":null},${trap}]`),
    rejections: [rejection, rejection],
  })
  expect(readHead(bytes, 0, bytes.length)).toMatchObject({
    offset: 0,
    tenantNo: 1,
    batchId: 'a","d":',
    acceptedCount: 2,
    rejectedCount: 2,
  })
})

describe('what cannot be read back is refused, and the slab stays as it was', () => {
  const cases = {
    'a raw newline in the events': { events: Buffer.from('[{}\n]') },
    'a raw newline in packed columns': { packed: Buffer.from('{"v":1,\n"t0":0}') },
    'packed columns beside refused events': {
      packed: Buffer.from('{}'),
      rejections: [{ index: 0, code: 'empty', detail: '', pointer: '', raw: '' } as const],
    },
    'a raw newline in the context': { context: '{\n}' },
    'more bytes than a record holds': { events: Buffer.alloc(8 * 1_048_576, 32) },
    'more events than are counted': { eventCount: 65_536 },
  }
  test.each(Object.entries(cases))('%s', (_name, more) => {
    const slab = new Slab(64)
    appendRecord(slab, entryOf('a'), 0, 0)
    const before = Buffer.from(slab.buffer.subarray(0, slab.length))
    expect(() => appendRecord(slab, entryOf('b', 1, more), 1, 0)).toThrow(RangeError)
    expect(slab.buffer.subarray(0, slab.length).equals(before)).toBe(true)
  })
})

test('a record behind a bad one is found whichever byte of the bad one is wrong', () => {
  const bad = line({}, 0, 7)
  const after = line({}, 1, bad.k)
  for (let byte = 0; byte < bad.bytes.length; byte++) {
    const both = Buffer.concat([bad.bytes, after.bytes])
    both[byte]! ^= 4
    const found: number[] = []
    scanSegment(both, { startByte: 0, k: 7, nextOffset: 0 }, 2, ({ startByte }) => {
      found.push(startByte)
    })
    expect(found, `byte ${byte}`).toEqual([bad.bytes.length])
  }
})

test('eight hex digits come back, and only lower case ones are taken', () => {
  const bytes = Buffer.alloc(10)
  for (const value of [0, 1, 0xdeadbeef, 0xffffffff, 0x00000abc]) {
    writeHex8(bytes, 1, value)
    expect(bytes.toString('latin1', 1, 9)).toBe(value.toString(16).padStart(8, '0'))
    expect(readHex8(bytes, 1)).toBe(value)
  }
  expect(readHex8(Buffer.from('0000000A'), 0)).toBeUndefined()
  expect(readHex8(Buffer.from('000000g0'), 0)).toBeUndefined()
  expect(readHex8(Buffer.from('0000000'), 0)).toBeUndefined()
})

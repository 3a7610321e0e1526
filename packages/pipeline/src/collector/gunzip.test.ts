import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { gunzipOne, type Unpacked } from './gunzip.ts'

const MAX = 1_048_576
const unpack = (bytes: Buffer, bytesMax = MAX) =>
  new Promise<Unpacked>((resolve) => gunzipOne(bytes, bytesMax, resolve))
const TEXT = Buffer.from('{"eventType":"click"}'.repeat(50))
const MEMBER = gzipSync(TEXT)

/** A member whose header has every optional field (RFC 1952, section 2.3). */
function decorated(): Buffer {
  const head = Buffer.from(MEMBER.subarray(0, 10))
  head[3] = 2 | 4 | 8 | 16
  const fields = Buffer.from([3, 0, 1, 2, 3, ...Buffer.from('a name\0a comment\0'), 0, 0])
  return Buffer.concat([head, fields, MEMBER.subarray(10)])
}

describe('one gzip member', () => {
  test('comes back whole, with and without what its header may have', async () => {
    for (const bytes of [MEMBER, decorated(), gzipSync('')]) {
      const unpacked = await unpack(bytes)
      expect(unpacked.ok && unpacked.bytes.toString()).toBe(
        bytes.length < 30 ? '' : TEXT.toString(),
      )
    }
  })

  test.each([
    ['another member', Buffer.concat([MEMBER, MEMBER])],
    ['an empty member', Buffer.concat([MEMBER, gzipSync('')])],
    ['a byte', Buffer.concat([MEMBER, Buffer.from('x')])],
    ['zeros', Buffer.concat([MEMBER, Buffer.alloc(512)])],
  ])('with %s behind it is refused', async (_, bytes) => {
    expect(await unpack(bytes)).toMatchObject({ ok: false, isTooLarge: false })
    expect(await unpack(bytes)).toHaveProperty('why', expect.stringContaining('behind'))
  })

  test('cut at any byte is refused', async () => {
    const bytes = decorated()
    for (let length = 0; length < bytes.length; length++) {
      expect([length, (await unpack(bytes.subarray(0, length))).ok]).toEqual([length, false])
    }
  })

  test('with a bit flipped in its trailer is refused', async () => {
    for (let at = MEMBER.length - 8; at < MEMBER.length; at++) {
      const bytes = Buffer.from(MEMBER)
      bytes[at]! ^= 1
      expect(await unpack(bytes)).toMatchObject({ ok: false })
    }
  })

  test('may unpack to the limit and not to a byte more', async () => {
    const bytes = gzipSync(Buffer.alloc(1_000, 'a'))
    expect(await unpack(bytes, 1_000)).toMatchObject({ ok: true })
    expect(await unpack(bytes, 999)).toMatchObject({ ok: false, isTooLarge: true })
  })
})

import { describe, expect, test } from 'vitest'
import { appendRecord, Slab } from '../log/record.ts'
import { formsIn, NO_FORMS } from './record-forms.ts'

const REFUSED = [{ index: 0, code: 'empty', detail: '', pointer: '', raw: '"p":{' }] as const

/** A line as the log writes it. */
function line(
  events: string | null,
  rejections: typeof REFUSED | readonly [] = [],
  packed: Buffer | null = null,
): Buffer {
  const slab = new Slab(1024)
  appendRecord(
    slab,
    {
      ...{ tenantNo: 1, sourceNo: 1, receivedMs: 1, sentMs: null, batchId: 'b', flags: 0 },
      ...{ indexes: null, defaults: '{}', context: '{}', rejections },
      ...{ eventCount: events === null ? 0 : 1, events: Buffer.from(events ?? ''), packed },
    },
    0,
    0,
  )
  return Buffer.from(slab.buffer.subarray(0, slab.length))
}

const object = line('[{"data":{"a":"},\\"x\\":null,\\"k\\":"}}]')
const someRefused = line('[{}]', REFUSED)
const allRefused = line(null, REFUSED)
const packed = line('', [], Buffer.from('{"v":1,"data":{"0":{}}}'))

describe('forms are told from the lines that the log writes', () => {
  test.each([
    ['objects', [object], { objects: true }],
    ['packed columns', [packed], { packed: true }],
    ['refused events beside objects', [someRefused], { objects: true, rejections: true }],
    ['refused events alone', [allRefused], { rejections: true }],
    [
      'packed columns after refused events',
      [allRefused, packed],
      { packed: true, rejections: true },
    ],
    ['all', [packed, object, allRefused], { objects: true, packed: true, rejections: true }],
    ['nothing', [], {}],
  ])('%s', (_, lines, expected) => {
    expect(formsIn(Buffer.concat(lines))).toEqual({ ...NO_FORMS, ...expected })
  })
})

test('what was found before is kept', () => {
  expect(formsIn(object, formsIn(packed))).toEqual({
    objects: true,
    packed: true,
    rejections: false,
  })
})

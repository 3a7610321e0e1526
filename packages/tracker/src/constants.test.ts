import { PURPOSES, limits as wire, EVENT_TYPES as wireTypes } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import * as own from './limits.ts'

describe('the constants copied from the protocol', () => {
  test('are equal to the originals', () => {
    expect(own.EVENT_TYPES).toEqual(wireTypes)
    expect(own.EVENT_TYPE_LENGTH_MAX).toBe(wire.EVENT_TYPE_LENGTH_MAX)
    expect(own.ID_LENGTH_MAX).toBe(wire.ID_LENGTH_MAX)
    expect(own.PATH_LENGTH_MAX).toBe(wire.PATH_LENGTH_MAX)
    expect(own.TARGET_LENGTH_MAX).toBe(wire.TARGET_LENGTH_MAX)
    expect(own.PACKED_EVENTS_MAX).toBe(wire.PACKED_EVENTS_MAX)
    expect(own.PACKED_TYPES_MAX).toBe(wire.PACKED_TYPES_MAX)
    expect(own.PACKED_TARGETS_MAX).toBe(wire.PACKED_TARGETS_MAX)
    expect(own.PACKED_SPAN_MAX_MS).toBe(wire.PACKED_SPAN_MAX_MS)
    const consent: Required<own.Consent> = { measure: true, profile: true, personalize: true }
    expect(Object.keys(consent)).toEqual([...PURPOSES])
  })

  test('the bounds of a batch stay under those of the wire', () => {
    expect(own.BATCH_BYTES_MAX).toBeLessThanOrEqual(wire.BODY_BYTES_MAX)
    expect(own.EVENT_BYTES_MAX).toBeLessThanOrEqual(wire.EVENT_BYTES_MAX)
    expect(own.EVENT_BYTES_MAX + 8_192).toBeLessThanOrEqual(own.BATCH_BYTES_MAX)
    expect(own.BATCH_BYTES_MAX).toBeLessThan(own.KEEPALIVE_BYTES_MAX)
  })
})

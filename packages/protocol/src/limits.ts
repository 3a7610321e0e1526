/**
 * Every limit that both sides of the wire must agree on.
 *
 * The tracker keeps under them, the collector refuses above them, the documentation prints them:
 * one constant each, so that a limit cannot differ between two of the three. Bytes are UTF-8 bytes,
 * lengths are UTF-16 code units (what JavaScript's `length` and JSON Schema's tools count), every
 * `…Max` is inclusive.
 */

/** One request after decompression. Below Kafka's and Kinesis' 1 MiB record with room to frame it is
 * a record's business; the wire allows the full mebibyte. */
export const BODY_BYTES_MAX = 1_048_576
/** Events as JSON objects in one batch: Firehose's PutRecordBatch takes 500 records as well. */
export const EVENTS_PER_BATCH_MAX = 500
/** Events in packed columns: four minutes of a hand at 20 a second, about 120 KB of text. */
export const PACKED_EVENTS_MAX = 5_000
/** Texts that packed events refer to by their place. */
export const PACKED_TYPES_MAX = 64
export const PACKED_TARGETS_MAX = 1_024
/** A day: what is older than its neighbours by more belongs into another batch. */
export const PACKED_SPAN_MAX_MS = 86_400_000
/** Of a packed coordinate or offset, either side of 0: their sum is then a number, too. */
export const COORDINATE_MAX = 1e300
export const POINTER_TYPE_LENGTH_MAX = 64
/** One event as JSON text. 500 median events of 400 B fill a fifth of a body; 64 KiB is an outlier. */
export const EVENT_BYTES_MAX = 65_536
/** Containers inside an event, the event itself not counted: deeper JSON breaks recursive readers. */
export const DEPTH_MAX = 16
/** Members of one object. */
export const KEYS_PER_OBJECT_MAX = 200

export const EVENT_TYPE_LENGTH_MAX = 64
export const BROWSER_LENGTH_MAX = 512
export const TIMESTAMP_LENGTH_MAX = 40
/** Longest URL that every browser and proxy still passes. */
export const PATH_LENGTH_MAX = 2_048
export const TARGET_LENGTH_MAX = 1_024
/** eventId, visitorId, userId, sessionId, pageId, batchId. */
export const ID_LENGTH_MAX = 128
/** `seq` and the integers that become 32-bit columns. */
export const INTEGER_MAX = 2_147_483_647

/** 9999-12-31T23:59:59.999Z: the last time that four digits of a year can write. */
export const EPOCH_MAX_MS = 253_402_300_799_999
/** An event time further than this before its receipt is not believed (a client's clock is wrong). */
export const CLOCK_PAST_MAX_MS = 7 * 24 * 3_600_000
/** … or this far after it. */
export const CLOCK_FUTURE_MAX_MS = 5 * 60_000
/** Client clocks are corrected only above this, so that jitter never reorders a hand's movement. */
export const CLOCK_CORRECTION_MIN_MS = 30_000

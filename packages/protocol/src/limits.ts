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

/** An event time further than this before its receipt is not believed (a client's clock is wrong). */
export const CLOCK_PAST_MAX_MS = 7 * 24 * 3_600_000
/** … or this far after it. */
export const CLOCK_FUTURE_MAX_MS = 5 * 60_000
/** Client clocks are corrected only above this, so that jitter never reorders a hand's movement. */
export const CLOCK_CORRECTION_MIN_MS = 30_000

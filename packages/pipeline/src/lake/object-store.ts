/**
 * Where the lake's objects lie: a folder, or any S3 API.
 *
 * Keys are `/`-separated ASCII made by our own code (never client text). An object is immutable
 * once written (only `version-hint.text` is ever replaced); the only compare-and-set the lake needs
 * is `onlyIfAbsent`. No key is a folder of another.
 */
export interface ObjectStore {
  /** The bucket's name as it stands in the metadata: `s3://<bucket>/<key>`, whatever lies below. */
  readonly bucket: string
  /** The whole object, or the bytes [start, end); undefined when no object has this key. */
  get(key: string, range?: { start: number; end: number }): Promise<Uint8Array | undefined>
  /** Durable when it resolves. Atomic: readers see nothing or all. 'exists' writes nothing. */
  put(
    key: string,
    bytes: Uint8Array,
    options?: { onlyIfAbsent?: boolean },
  ): Promise<'written' | 'exists'>
  /**
   * Moves a finished local file in, durably; the local file is gone afterwards. For Parquet files
   * that an engine wrote.
   */
  putFile(key: string, localPath: string): Promise<void>
  /** Keys under a prefix in ascending byte order, all of them. */
  list(prefix: string): AsyncIterable<string>
  /**
   * Names of the folders directly below `prefix` (empty, or ending in `/`), ascending; reads no
   * deeper.
   */
  folders(prefix: string): Promise<readonly string[]>
  /** Idempotent: deleting what is not there is no error. */
  delete(key: string): Promise<void>
  /** A path on this machine an engine can read the object under (downloads it where it must). */
  localPath(key: string): Promise<string>
}

/** Longest key that S3 takes. */
export const KEY_LENGTH_MAX = 1024
const KEY = /^[A-Za-z0-9_=-][A-Za-z0-9_=.-]*(?:\/[A-Za-z0-9_=-][A-Za-z0-9_=.-]*)*$/

/**
 * Throws on a key that could leave the store's folder or mean another object elsewhere: `..`, `//`,
 * a leading or trailing `/`, a name that starts with a dot, anything but `A-Z a-z 0-9 _ = . -`.
 */
export function checkKey(key: string): string {
  if (key.length > KEY_LENGTH_MAX || !KEY.test(key)) {
    throw new Error(`${JSON.stringify(key)} is no key of the lake`)
  }
  return key
}

/** Throws on what begins no key; the empty prefix, and one that ends in `/`, are fine. */
export function checkPrefix(prefix: string): string {
  if (prefix !== '') checkKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix)
  return prefix
}

/** `s3://bucket/key` of a key, and back. Locations in table metadata are always of this form. */
export function locationOf(store: Pick<ObjectStore, 'bucket'>, key: string): string {
  return `s3://${store.bucket}/${key}`
}

export function keyOf(store: Pick<ObjectStore, 'bucket'>, location: string): string {
  const prefix = `s3://${store.bucket}/`
  if (!location.startsWith(prefix)) throw new Error(`${location} is not in bucket ${store.bucket}`)
  return location.slice(prefix.length)
}

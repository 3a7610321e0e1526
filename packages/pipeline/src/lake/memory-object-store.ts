/**
 * The object store without a disk, for tests and for trying things out: the same promises as the
 * others (one contract suite), except that nothing outlives the process.
 */
import { type FileSystem, readFile } from '../kit/files.ts'
import { checkKey, checkPrefix, type ObjectStore } from './object-store.ts'

export class MemoryObjectStore implements ObjectStore {
  readonly bucket: string
  readonly #files: FileSystem
  readonly #scratchFolder: string
  readonly #objects = new Map<string, Uint8Array>()

  /** `localPath` copies objects into `scratchFolder`, which must exist; the caller removes it. */
  constructor(files: FileSystem, scratchFolder: string, bucket: string) {
    this.#files = files
    this.#scratchFolder = scratchFolder
    this.bucket = bucket
  }

  async get(key: string, range?: { start: number; end: number }): Promise<Uint8Array | undefined> {
    return this.#objects.get(checkKey(key))?.slice(range?.start, range?.end)
  }

  async put(
    key: string,
    bytes: Uint8Array,
    options?: { onlyIfAbsent?: boolean },
  ): Promise<'written' | 'exists'> {
    if (options?.onlyIfAbsent && this.#objects.has(checkKey(key))) return 'exists'
    this.#objects.set(checkKey(key), Uint8Array.from(bytes))
    return 'written'
  }

  async putFile(key: string, localPath: string): Promise<void> {
    this.#objects.set(checkKey(key), await readFile(this.#files, localPath))
    await this.#files.remove(localPath)
  }

  async *list(prefix: string): AsyncIterable<string> {
    checkPrefix(prefix)
    for (const key of [...this.#objects.keys()].sort()) if (key.startsWith(prefix)) yield key
  }

  async folders(prefix: string): Promise<readonly string[]> {
    const names = new Set<string>()
    for await (const key of this.list(prefix)) {
      const [name, ...below] = key.slice(prefix.length).split('/')
      if (below.length > 0) names.add(name!)
    }
    return [...names]
  }

  async delete(key: string): Promise<void> {
    this.#objects.delete(checkKey(key))
  }

  async localPath(key: string): Promise<string> {
    const bytes = this.#objects.get(checkKey(key))
    if (!bytes) throw Object.assign(new Error(`no object ${key}`), { code: 'ENOENT' })
    const path = `${this.#scratchFolder}/${key.replaceAll('/', '_')}`
    if (await this.#files.exists(path)) return path
    const file = await this.#files.open(path, 'create')
    try {
      await file.write(bytes, 0)
    } finally {
      await file.close()
    }
    return path
  }
}

/**
 * The lake's objects as files under one folder: key `a/b` is the file `<folder>/a/b`.
 *
 * An object appears by rename or link of a finished, synced file, and the folders that name it are
 * synced before the answer: whoever is told "written" finds the object after a power cut, and
 * nobody ever reads half of one. `onlyIfAbsent` is link(2), which one of many processes wins.
 * Unfinished files lie in `<folder>/.tmp`, which no key can name.
 */
import { type Random, randomHex } from '../kit/clock.ts'
import { errnoOf } from '../kit/errors.ts'
import { type FileSystem, readFile } from '../kit/files.ts'
import { checkKey, checkPrefix, type ObjectStore } from './object-store.ts'

const TEMPORARY = '.tmp'
/** Folders known to be durable that are remembered; the next ones are only synced once more. */
const FOLDERS_KNOWN_MAX = 10_000

export class FolderObjectStore implements ObjectStore {
  readonly bucket: string
  readonly #files: FileSystem
  readonly #folder: string
  readonly #random: Random
  readonly #durableFolders = new Set<string>()

  /** `folder` is absolute, without a trailing slash; it is made with the first object. */
  constructor(files: FileSystem, folder: string, bucket: string, random: Random) {
    this.#files = files
    this.#folder = folder
    this.bucket = bucket
    this.#random = random
  }

  async get(key: string, range?: { start: number; end: number }): Promise<Uint8Array | undefined> {
    const path = this.#pathOf(key)
    try {
      if (!range) return await readFile(this.#files, path)
      const file = await this.#files.open(path, 'read')
      try {
        const end = Math.min(range.end, await file.size())
        return await file.read(range.start, Math.max(0, end - range.start))
      } finally {
        await file.close()
      }
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw error
    }
  }

  async put(
    key: string,
    bytes: Uint8Array,
    options?: { onlyIfAbsent?: boolean },
  ): Promise<'written' | 'exists'> {
    const path = this.#pathOf(key)
    if (options?.onlyIfAbsent && (await this.#files.exists(path))) return 'exists'
    await this.#makeDurableFolder(folderOf(path))
    const temporary = await this.#writeTemporary(bytes)
    if (options?.onlyIfAbsent) {
      const won = await this.#linkIfAbsent(temporary, path)
      // Won or lost, it is decided: a name that is left over must not make that look like a failure.
      await this.#files.remove(temporary).catch(() => {})
      if (!won) return 'exists'
    } else {
      await this.#files.rename(temporary, path)
    }
    await this.#files.syncFolder(folderOf(path))
    return 'written'
  }

  /** `localPath` must lie on the same file system as the store (EXDEV otherwise). */
  async putFile(key: string, localPath: string): Promise<void> {
    const path = this.#pathOf(key)
    // The engine that wrote it does not sync.
    const file = await this.#files.open(localPath, 'write')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
    await this.#makeDurableFolder(folderOf(path))
    await this.#files.rename(localPath, path)
    await this.#files.syncFolder(folderOf(path))
  }

  async *list(prefix: string): AsyncIterable<string> {
    checkPrefix(prefix)
    yield* this.#walk(prefix.slice(0, prefix.lastIndexOf('/') + 1), prefix)
  }

  async folders(prefix: string): Promise<readonly string[]> {
    checkPrefix(prefix)
    const entries = (await this.#entries(prefix)) ?? []
    const folders: string[] = []
    for (const name of entries) {
      if ((await this.#entries(`${prefix}${name}/`)) !== undefined) folders.push(name)
    }
    return folders
  }

  async delete(key: string): Promise<void> {
    const path = this.#pathOf(key)
    try {
      await this.#files.remove(path)
    } catch (error) {
      if (isAbsent(error)) return
      throw error
    }
    await this.#files.syncFolder(folderOf(path))
  }

  async localPath(key: string): Promise<string> {
    return this.#pathOf(key)
  }

  #pathOf(key: string): string {
    return `${this.#folder}/${checkKey(key)}`
  }

  async #writeTemporary(bytes: Uint8Array): Promise<string> {
    const folder = `${this.#folder}/${TEMPORARY}`
    await this.#makeDurableFolder(folder)
    const path = `${folder}/${randomHex(this.#random, 16)}`
    const file = await this.#files.open(path, 'create')
    try {
      await file.write(bytes, 0)
      await file.sync()
    } catch (error) {
      await this.#files.remove(path).catch(() => {}) // the first error is the one to report
      throw error
    } finally {
      await file.close()
    }
    return path
  }

  async #linkIfAbsent(from: string, to: string): Promise<boolean> {
    try {
      await this.#files.link(from, to)
      return true
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false
      await this.#files.remove(from).catch(() => {})
      throw error
    }
  }

  /** Makes a folder durably, or makes sure of one that is there, once in this process's life. */
  async #makeDurableFolder(folder: string): Promise<void> {
    if (this.#durableFolders.has(folder)) return
    await this.#files.makeFolder(folder)
    if (this.#durableFolders.size >= FOLDERS_KNOWN_MAX) this.#durableFolders.clear()
    this.#durableFolders.add(folder)
  }

  /** Keys in `folder` (empty, or ending in `/`) and below it that begin with `prefix`. */
  async *#walk(folder: string, prefix: string): AsyncIterable<string> {
    const keys: string[] = []
    for (const name of (await this.#entries(folder)) ?? []) {
      const key = `${folder}${name}`
      if (!key.startsWith(prefix) && !prefix.startsWith(key)) continue
      const isFolder = (await this.#entries(`${key}/`)) !== undefined
      keys.push(isFolder ? `${key}/` : key)
    }
    // With the slash on: `a-b` sorts before `a/b`, as keys do.
    for (const key of keys.sort()) {
      if (key.endsWith('/')) yield* this.#walk(key, prefix)
      else if (key.startsWith(prefix)) yield key
    }
  }

  /** Names in a folder, none of them hidden; undefined when it is a file or absent. */
  async #entries(folder: string): Promise<readonly string[] | undefined> {
    try {
      const names = await this.#files.list(`${this.#folder}/${folder}`)
      return names.filter((name) => !name.startsWith('.'))
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw error
    }
  }
}

/**
 * Removes what an earlier process left unfinished. For the start of the process that owns the
 * folder, before anyone writes.
 */
export async function removeUnfinished(files: FileSystem, folder: string): Promise<void> {
  const temporary = `${folder}/${TEMPORARY}`
  if (!(await files.exists(temporary))) return
  for (const name of await files.list(temporary)) await files.remove(`${temporary}/${name}`)
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/'
}

/** ENOTDIR: the key lies below what is a file. EISDIR: it is a folder of keys. */
function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'EISDIR'].includes(errnoOf(error) ?? '')
}

/**
 * The disk as an argument.
 *
 * Everything durable goes through this interface, so that a model file system with torn writes and
 * forgotten syncs can stand in for the real one. It is small on purpose: open, append at a position,
 * sync, rename, list, free space. Two habits of `node:fs` are mended here once: a short write is completed or
 * fails (on a full disk Node resolves with fewer bytes and no error), and a new or renamed name is
 * durable only after `syncFolder`.
 */
import { constants } from 'node:fs'
import {
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  rename,
  stat,
  statfs,
  unlink,
} from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

export interface OpenFile {
  /** Writes all of `bytes` at `position`, or rejects. */
  write(bytes: Uint8Array, position: number): Promise<void>
  /**
   * Reads up to `length` bytes at `position`; shorter only at the end of the file. `room` has that
   * length and may be used: the result says where the bytes are.
   */
  read(position: number, length: number, room?: Uint8Array): Promise<Uint8Array>
  /** Data and size on stable storage (fdatasync). After a rejection the file must not be trusted. */
  sync(): Promise<void>
  size(): Promise<number>
  truncate(length: number): Promise<void>
  close(): Promise<void>
}

export interface FileSystem {
  /** `create` fails if the name exists. */
  open(path: string, mode: 'read' | 'write' | 'create'): Promise<OpenFile>
  /** Names in a folder, sorted; rejects with ENOENT if it is missing. */
  list(folder: string): Promise<string[]>
  exists(path: string): Promise<boolean>
  /**
   * Makes a folder and those above it, from the top, each new name synced before the next is made.
   * One that is there already is synced too: who made it may have died before its own sync.
   */
  makeFolder(folder: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** A second name for a file; rejects with EEXIST if `to` exists, so one of many creators wins. */
  link(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Names in this folder on stable storage. */
  syncFolder(folder: string): Promise<void>
  /** What this user may still write to the disk that the folder is on. */
  freeBytes(folder: string): Promise<number>
}

class NodeFile implements OpenFile {
  readonly #handle: FileHandle
  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0
    while (done < bytes.byteLength) {
      const { bytesWritten } = await this.#handle.write(
        bytes,
        done,
        bytes.byteLength - done,
        position + done,
      )
      if (bytesWritten === 0) throw Object.assign(new Error('wrote 0 bytes'), { code: 'EIO' })
      done += bytesWritten
    }
  }

  async read(position: number, length: number, room?: Uint8Array): Promise<Uint8Array> {
    const buffer = room ?? Buffer.allocUnsafe(length)
    let done = 0
    while (done < length) {
      const { bytesRead } = await this.#handle.read(buffer, done, length - done, position + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return buffer.subarray(0, done)
  }

  sync(): Promise<void> {
    return this.#handle.datasync()
  }
  async size(): Promise<number> {
    return (await this.#handle.stat()).size
  }
  truncate(length: number): Promise<void> {
    return this.#handle.truncate(length)
  }
  close(): Promise<void> {
    return this.#handle.close()
  }
}

const FLAGS = {
  read: constants.O_RDONLY,
  write: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
}

export const nodeFiles: FileSystem = {
  open: async (path, mode) => new NodeFile(await open(path, FLAGS[mode], 0o600)),
  list: async (folder) => (await readdir(folder)).sort(),
  exists: (path) =>
    stat(path).then(
      () => true,
      (error) => {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
        throw error
      },
    ),
  makeFolder: async (folder) => {
    const path = resolve(folder)
    const above = dirname(path)
    if (await isFolder(path)) return syncIfReadable(above)
    await nodeFiles.makeFolder(above)
    await mkdir(path, { mode: 0o700 }).catch(async (error) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !(await isFolder(path))) throw error
    })
    await nodeFiles.syncFolder(above)
  },
  rename: (from, to) => rename(from, to),
  link: (from, to) => link(from, to),
  remove: (path) => unlink(path),
  syncFolder: async (folder) => {
    const handle = await open(folder, constants.O_RDONLY)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  freeBytes: async (folder) => {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  },
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** Whoever may not read a folder has made nothing in it: it could not have synced the name. */
async function syncIfReadable(folder: string): Promise<void> {
  try {
    await nodeFiles.syncFolder(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
  }
}

/**
 * Replaces a small file so that a crash leaves the old text or the new one, never half of either:
 * write beside it, sync, rename, sync the folder.
 */
export async function replaceFile(
  files: FileSystem,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  const temporary = `${path}.new`
  if (await files.exists(temporary)) await files.remove(temporary)
  const file = await files.open(temporary, 'create')
  try {
    await file.write(bytes, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await files.rename(temporary, path)
  await files.syncFolder(dirname(path))
}

/** Reads a whole file. */
export async function readFile(files: FileSystem, path: string): Promise<Uint8Array> {
  const file = await files.open(path, 'read')
  try {
    return await file.read(0, await file.size())
  } finally {
    await file.close()
  }
}

/**
 * A file system in memory, for tests that open and read a folder thousands of times.
 *
 * It has no power to lose: what is written is there, synced or not. Errors carry the errno codes of
 * the real one (files.ts). Two names of one file share its bytes, as links do.
 */
import { dirname, join } from 'node:path'
import type { FileSystem, OpenFile } from './files.ts'

export interface MemoryFiles extends FileSystem {
  /** The bytes under a name, for tests to look at and to spoil; `undefined` when it is not there. */
  get(path: string): Buffer | undefined
  put(path: string, bytes: Uint8Array): void
  /** The same files once more, independent of these. */
  copy(): MemoryFiles
}

interface Inode {
  bytes: Buffer
}

export function memoryFiles(inodes = new Map<string, Inode>(), folders = new Set<string>()) {
  const inode = (path: string): Inode => inodes.get(path) ?? fail('ENOENT', path)
  const files: MemoryFiles = {
    open: async (path, mode) => {
      if (mode === 'create') {
        if (inodes.has(path)) fail('EEXIST', path)
        inodes.set(path, { bytes: Buffer.alloc(0) })
      }
      return openInode(inode(path))
    },
    list: async (folder) => {
      const paths = [...inodes.keys(), ...folders].filter((path) => dirname(path) === folder)
      return paths.map((path) => path.slice(folder.length + 1)).sort()
    },
    exists: async (path) => inodes.has(path) || folders.has(path),
    makeFolder: async (folder) => void folders.add(folder),
    rename: async (from, to) => {
      inodes.set(to, inode(from))
      inodes.delete(from)
    },
    link: async (from, to) => {
      if (inodes.has(to)) fail('EEXIST', to)
      inodes.set(to, inode(from))
    },
    remove: async (path) => {
      if (!inodes.delete(path)) fail('ENOENT', path)
    },
    syncFolder: async () => {},
    freeBytes: async () => Number.MAX_SAFE_INTEGER,
    get: (path) => inodes.get(path)?.bytes,
    put: (path, bytes) => void inodes.set(path, { bytes: Buffer.from(bytes) }),
    copy: () => {
      const copies = new Map(
        [...inodes].map(([path, { bytes }]) => [path, { bytes: Buffer.from(bytes) }]),
      )
      return memoryFiles(copies, new Set(folders))
    },
  }
  return files
}

function openInode(inode: Inode): OpenFile {
  return {
    write: async (bytes, position) => {
      const end = position + bytes.byteLength
      const whole = Buffer.alloc(Math.max(inode.bytes.length, end))
      inode.bytes.copy(whole)
      whole.set(bytes, position)
      inode.bytes = whole
    },
    read: async (position, length) =>
      Buffer.from(inode.bytes.subarray(position, position + length)),
    sync: async () => {},
    size: async () => inode.bytes.length,
    truncate: async (length) => {
      inode.bytes = Buffer.from(inode.bytes.subarray(0, length))
    },
    close: async () => {},
  }
}

function fail(code: string, path: string): never {
  throw Object.assign(new Error(`${code}: ${join(path)}`), { code })
}

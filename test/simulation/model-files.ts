/**
 * A disk in memory that loses power: `FileSystem` with a volatile and a durable state.
 *
 * What is durable: the bytes and size of a file as they were at its last `sync`, and the names in a
 * folder as they were at its last `syncFolder`. `losePower` keeps that and, of everything since, a
 * random part. The rules are POSIX's, which promises nothing without fsync, narrowed by what ALICE
 * (Pillai et al., OSDI 2014, "All file systems are not created equal", table 1) found file systems to
 * keep, and harsher than ext4 in its default mode wherever that is cheap:
 *
 * - Data. Each 512 B or 4 KiB of a file shows the file as it was after any of the changes since the
 *   sync, each independently of its neighbours: writes are torn and reordered. One block in four is
 *   torn at a byte as well, which disks promise not to do.
 * - Size. Any size that the file had since the sync, with the data or without; what was not written
 *   reads as zeros or, as in ext4's data=writeback, as whatever lay on the disk.
 * - Names. Each name of each folder shows any of the states it had since the folder's sync,
 *   independently of other names and folders: a later create without an earlier one, a remove that
 *   did not happen. ext4's journal would keep them in order. `sync` of a new file does not make its
 *   name durable, as ext4's does.
 * - A rename is atomic at its target: the old file or the new one. The source's name may remain, and
 *   goes only where the target is there: a rename alone never loses a file. With the two in different
 *   folders, syncing the source's folder does not make the target durable.
 * - A new name may lead to a file without any of its data: a name and its file's data are unordered.
 * - A sync that fails has kept a random part and forgotten the rest: the page cache still shows it,
 *   and a second sync succeeds without it (measured on ext4 and XFS; Rebello et al., ATC 2020).
 *
 * Calls take effect one by one, in a random order among those that are under way at the same time,
 * one in each turn of the event loop; the answers of a dead process's calls never come. Same seed,
 * same calls: same history. Folders are never renamed or removed: nothing here does that.
 */
import type { FileSystem, OpenFile } from '../../packages/pipeline/src/kit/files.ts'
import type { Dice } from './dice.ts'
import {
  byName,
  changeData,
  errnoError,
  exists,
  type FileNode,
  type FolderNode,
  filesBelow,
  folderAt,
  foldersBelow,
  foldersFound,
  imagesOf,
  linkNode,
  makeOneFolder,
  type NameChange,
  type Node,
  newFolder,
  nodeAt,
  openNode,
  partsOf,
  paste,
  removeNode,
  renameNode,
  setName,
  syncData,
  syncNames,
} from './model-tree.ts'

/** A process's view of the disk. */
export interface MountedFiles extends FileSystem {
  freeBytes(folder: string): Promise<number>
  /** `makeFolder` without the syncs that it promises: for a mutant. */
  makeFolderUnsynced(folder: string): Promise<void>
}

/** Has `run` take effect; `torn` instead when the call is to fail half done. */
type Caller = <T>(run: () => T, torn?: () => void, slow?: 'slow') => Promise<T>

/** Turns that a sync takes at most: the time in which a power loss finds something to take. */
const SYNC_TURNS_MAX = 8

interface Call {
  /** Turns until it takes effect. */
  turnsLeft: number
  /** Takes effect; `answer` false: whoever called is dead. */
  readonly run: (answer: boolean) => void
}

export class ModelFiles {
  /** A sync that says it was done and was not: every disk that lies about its cache. */
  lying = false
  /** Calls that were made to fail so far. */
  failedCount = 0
  /** Calls that took effect or failed so far. */
  callCount = 0
  readonly #dice: Dice
  #root: FolderNode = newFolder()
  #generation = 0
  #calls: Call[] = []
  #pumping = false
  #failing: { callsLeft: number; errno: string } | undefined

  constructor(dice: Dice) {
    this.#dice = dice
  }

  /** The disk as the process that lives now sees it; dead once that process is. */
  mount(): MountedFiles {
    const generation = this.#generation
    return this.#filesBy((run, torn, slow) => this.#queued(generation, run, torn, slow))
  }

  /** The disk for a checker: calls take effect at once and never fail. */
  observe(): MountedFiles {
    return this.#filesBy(async (run) => run())
  }

  /** Call `calls` from now fails, and that one only; 1 is the next. */
  failCall(calls: number, errno: string): void {
    this.#failing = { callsLeft: calls, errno }
  }

  /** kill −9: what is under way may still happen, the page cache stays. */
  killProcess(): void {
    const calls = this.#calls
    this.#calls = []
    this.#generation++
    this.#failing = undefined
    for (const call of calls) if (this.#dice.oneIn(2)) call.run(false)
  }

  /** Power is gone, and back. */
  losePower(): void {
    this.killProcess()
    const folders = foldersBelow(this.#root)
    const applied = this.#appliedNames(folders)
    for (const [place, folder] of folders.entries()) {
      for (const made of folder.changes) {
        if (applied.get(`${place} ${made.name}`)?.includes(made)) setName(folder.durable, made)
      }
      folder.changes = []
      folder.names = new Map(folder.durable)
    }
    for (const file of filesBelow(this.#root)) {
      file.durable = this.#afterPowerLoss(file)
      file.content = file.durable
      file.changes = []
    }
  }

  /** For each folder and name, the changes that reached the disk. */
  #appliedNames(folders: readonly FolderNode[]): Map<string, readonly NameChange[]> {
    const applied = new Map<string, readonly NameChange[]>()
    for (const [place, folder] of folders.entries()) {
      // Nothing, all, or each name by itself.
      const mode = this.#dice.below(4)
      for (const [name, changes] of byName(folder.changes)) {
        const count =
          mode === 0 ? 0 : mode === 1 ? changes.length : this.#dice.below(changes.length + 1)
        applied.set(`${place} ${name}`, changes.slice(0, count))
      }
    }
    const isApplied = (change: NameChange) =>
      change.durable || [...applied.values()].some((changes) => changes.includes(change))
    // A source may hang on a target that is itself the source of a later rename: until none changes.
    for (let changed = true; changed; ) {
      changed = false
      for (const [key, changes] of applied) {
        const last = changes.at(-1)
        if (last?.after === undefined || isApplied(last.after)) continue
        applied.set(key, changes.slice(0, -1))
        changed = true
      }
    }
    return applied
  }

  #afterPowerLoss(file: FileNode): Buffer {
    if (file.changes.length === 0) return file.durable
    const images = imagesOf(file)
    const last = images.length - 1
    const mode = this.#dice.below(6)
    if (mode === 0) return images[0]!
    if (mode === 1) return images[last]!
    // In order, the last change torn; or every block by itself.
    const cut = this.#dice.below(last) + 1
    const from = mode === 2 ? [images[cut - 1]!, images[cut]!] : images
    return this.#mixed(from)
  }

  #mixed(images: readonly Buffer[]): Buffer {
    const block = this.#dice.pick([512, 4096])
    const mixed = Buffer.alloc(this.#dice.pick(images).length)
    if (this.#dice.oneIn(4)) mixed.set(this.#dice.bytes(mixed.length))
    for (let start = 0; start < mixed.length; start += block) {
      const version = this.#dice.below(images.length)
      const end = start + block
      if (version > 0 && this.#dice.oneIn(4)) {
        const torn = start + this.#dice.below(block)
        paste(mixed, images[version]!, start, torn)
        paste(mixed, images[version - 1]!, torn, end)
      } else paste(mixed, images[version]!, start, end)
    }
    return mixed
  }

  #queued<T>(generation: number, run: () => T, torn?: () => void, slow?: 'slow'): Promise<T> {
    return new Promise((resolve, reject) => {
      if (generation !== this.#generation) return
      const call = (answer: boolean) => {
        this.callCount++
        try {
          const errno = answer ? this.#fault() : undefined
          if (errno !== undefined) {
            torn?.()
            throw errnoError(errno, 'as told')
          }
          const result = run()
          if (answer) resolve(result)
        } catch (error) {
          if (answer) reject(error)
        }
      }
      const turnsLeft = slow ? this.#dice.below(SYNC_TURNS_MAX) : 0
      this.#calls.push({ turnsLeft, run: call })
      this.#pump()
    })
  }

  #fault(): string | undefined {
    if (this.#failing === undefined || --this.#failing.callsLeft > 0) return undefined
    const { errno } = this.#failing
    this.#failing = undefined
    this.failedCount++
    return errno
  }

  /** One call takes effect in each turn of the event loop, so that others come up beside it. */
  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    const next = () => {
      const call = this.#calls[this.#dice.below(this.#calls.length || 1)]
      if (call !== undefined && --call.turnsLeft < 0) {
        this.#calls.splice(this.#calls.indexOf(call), 1)
        call.run(true)
      }
      this.#pumping = this.#calls.length > 0
      if (this.#pumping) setImmediate(next)
    }
    setImmediate(next)
  }

  #filesBy(call: Caller): MountedFiles {
    const root = () => this.#root
    const syncFolder = (path: string) => {
      const sync = () => {
        const node = nodeAt(root(), path)
        if (this.lying) return
        if (node.kind === 'folder') syncNames(node)
        else syncData(node)
      }
      return call(sync, undefined, 'slow')
    }
    /** As kit/files.ts does it: a process may die between any two of these calls. */
    const makeFolder = async (path: string, sync: typeof syncFolder) => {
      const parts = partsOf(path)
      const at = (length: number) => `/${parts.slice(0, length).join('/')}`
      const found = await call(() => foldersFound(root(), path))
      if (found > 0) await sync(at(found - 1))
      for (let length = found + 1; length <= parts.length; length++) {
        await call(() => makeOneFolder(root(), at(length)))
        await sync(at(length - 1))
      }
    }
    return {
      open: (path, mode) => call(() => this.#opened(openNode(root(), path, mode), mode, call)),
      list: (path) => call(() => [...folderAt(root(), path).names.keys()].sort()),
      exists: (path) => call(() => exists(root(), path)),
      makeFolder: (path) => makeFolder(path, syncFolder),
      makeFolderUnsynced: (path) => makeFolder(path, async () => {}),
      rename: (from, to) => call(() => renameNode(root(), from, to)),
      link: (from, to) => call(() => linkNode(root(), from, to)),
      remove: (path) => call(() => removeNode(root(), path)),
      syncFolder,
      freeBytes: () => call(() => 2 ** 40),
    }
  }

  #opened(node: Node, mode: 'read' | 'write' | 'create', call: Caller): OpenFile {
    let isOpen = true
    const file = (writes: boolean): FileNode => {
      if (!isOpen) throw errnoError('EBADF', 'closed')
      if (writes && mode === 'read') throw errnoError('EBADF', 'open for reading')
      if (node.kind === 'folder') throw errnoError('EISDIR', 'read')
      return node
    }
    const write = (bytes: Buffer, position: number) => {
      if (bytes.length > 0) changeData(file(true), { position, bytes })
    }
    return {
      write: (given, position) => {
        // The caller may use its buffer again while the write is under way; no caller here does.
        const bytes = Buffer.from(given)
        return call(
          () => write(bytes, position),
          () => write(bytes.subarray(0, this.#dice.below(bytes.length + 1)), position),
        )
      },
      read: (position, length) =>
        call(() => Buffer.from(file(false).content.subarray(position, position + length))),
      sync: () =>
        call(
          () => {
            if (!this.lying) syncData(file(false))
          },
          () => {
            const failed = file(false)
            failed.durable = this.#afterPowerLoss(failed)
            failed.changes = []
          },
          'slow',
        ),
      size: () => call(() => file(false).content.length),
      truncate: (length) =>
        call(() => {
          if (mode === 'read') throw errnoError('EINVAL', 'open for reading')
          changeData(file(true), { truncateTo: length })
        }),
      // Closing frees; it neither fails nor waits for the disk.
      close: async () => {
        isOpen = false
      },
    }
  }
}

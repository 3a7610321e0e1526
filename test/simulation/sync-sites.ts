/**
 * Every place in the product that makes something durable, found by running it: the caller of each
 * `sync`, `syncFolder` and `makeFolder`, from the stack. One of them can be made to do nothing.
 *
 * A site is `file function call`; inside kit/files.ts, whose functions sync for others, the caller is
 * named as well. Lines are for people: they move.
 */
import type { FileSystem, OpenFile } from '../../packages/pipeline/src/kit/files.ts'
import type { MountedFiles } from './model-files.ts'

type SyncCall = 'sync' | 'syncFolder' | 'makeFolder'

export interface SyncSite {
  readonly name: string
  /** `file:line`, for the table. */
  readonly line: string
  reached: number
}

export class SyncSites {
  readonly found = new Map<string, SyncSite>()
  readonly #without: readonly string[]

  /** `without`: names of sites whose calls do nothing but say that they did. */
  constructor(...without: string[]) {
    this.#without = without
  }

  wrap(files: MountedFiles): FileSystem {
    const opened = (file: OpenFile): OpenFile => ({
      ...file,
      sync: () => (this.#isLeftOut('sync') ? Promise.resolve() : file.sync()),
    })
    return {
      ...files,
      open: async (path, mode) => opened(await files.open(path, mode)),
      syncFolder: (folder) =>
        this.#isLeftOut('syncFolder') ? Promise.resolve() : files.syncFolder(folder),
      makeFolder: (folder) =>
        this.#isLeftOut('makeFolder') ? files.makeFolderUnsynced(folder) : files.makeFolder(folder),
    }
  }

  #isLeftOut(call: SyncCall): boolean {
    // A stack costs more than the call: none is taken where it cannot be the one.
    const some =
      this.#without.length === 0 || this.#without.some((name) => name.endsWith(` ${call}`))
    if (!some) return false
    const frames = productFrames()
    const name = `${frames.map(({ place }) => place).join(' ← ')} ${call}`
    const site = this.found.get(name)
    if (site !== undefined) site.reached++
    else
      this.found.set(name, { name, line: frames.map(({ line }) => line).join(' ← '), reached: 1 })
    return this.#without.includes(name)
  }
}

const PRODUCT_FRAME =
  /at (?:async )?(?:new )?(\S+).*?\/packages\/pipeline\/src\/([\w/-]+\.ts):(\d+)/

/** The innermost frame of the product; from kit/files.ts on also the one that called it. */
function productFrames(): { readonly place: string; readonly line: string }[] {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 25
  const stack = new Error('where').stack ?? ''
  Error.stackTraceLimit = limit
  const frames: { place: string; line: string }[] = []
  for (const text of stack.split('\n')) {
    const [, name = '', file = '', line = ''] = PRODUCT_FRAME.exec(text) ?? []
    if (file === '') continue
    // Classes come and go in the stack with the call's form; the function's own name stays.
    frames.push({ place: `${file} ${name.split('.').at(-1)}`, line: `${file}:${line}` })
    if (file !== 'kit/files.ts') break
  }
  return frames
}

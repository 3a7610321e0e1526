/**
 * Room that the log leaves on its disk, so that delivery, retention and the control plane can still
 * write when events have filled the rest.
 *
 * Asking the system costs a call, so it is asked beside the appends and not by them: at most every
 * 250 ms while they come, and as often while there is too little, until there is enough. What comes
 * in between may go past the mark; the reserve is many times what a disk writes in that time.
 */
import { MillraceError } from '../kit/errors.ts'
import type { FileSystem } from '../kit/files.ts'

const CHECK_EVERY_MS = 250

export class DiskReserve {
  readonly #files: FileSystem
  readonly #folder: string
  readonly #bytes: number
  #isShort = false
  #isAsked = false
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /** `bytes` 0: nothing is kept free, and nothing is asked. */
  constructor(files: FileSystem, folder: string, bytes: number) {
    this.#files = files
    this.#folder = folder
    this.#bytes = bytes
  }

  /** Whether less than the reserve was free when last looked; looks again if that is a while ago. */
  isShort(): boolean {
    if (this.#bytes > 0 && !this.#isAsked) void this.check()
    return this.#isShort
  }

  error(): MillraceError {
    return new MillraceError('disk_full', `less than ${this.#bytes} bytes are free on the disk`)
  }

  /** Never rejects: a disk that does not say how much is free is taken to have room. */
  async check(): Promise<void> {
    if (this.#bytes === 0) return
    this.#isAsked = true
    try {
      this.#isShort = (await this.#files.freeBytes(this.#folder)) < this.#bytes
    } catch {
      this.#isShort = false
    }
    if (this.#closed) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#isAsked = false
      // Nobody may append while it is short; whoever asks then should hear what is so now.
      if (this.#isShort) void this.check()
    }, CHECK_EVERY_MS)
    this.#timer.unref()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }
}

/**
 * The folder in which a delivery job makes its files. Nothing in it outlives the job: it is emptied at
 * its start and at its end, so what a killed process left is gone with the next one. It must be on the
 * lake's file system, or moving a file in would be a copy. One process uses it at a time.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Spool {
  readonly folder: string
  /** Empties the folder, or makes it. */
  clear(): Promise<void>
  /** Writes a file, not durably, and returns its path. */
  write(name: string, bytes: Uint8Array): Promise<string>
}

export function openSpool(folder: string): Spool {
  return {
    folder,
    async clear() {
      await rm(folder, { recursive: true, force: true })
      // Lines hold what visitors did: nobody else reads them.
      await mkdir(folder, { recursive: true, mode: 0o700 })
    },
    async write(name, bytes) {
      const path = join(folder, name)
      await writeFile(path, bytes, { mode: 0o600 })
      return path
    },
  }
}

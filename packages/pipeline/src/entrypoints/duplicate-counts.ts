/**
 * How many events of each tenant came again, over restarts: one small file, `duplicates.json`.
 *
 * A duplicate changes nothing else on disk, and a sync for each would cost a retry more than the first
 * batch did. So the counts are saved every ten seconds when they have changed, and at stop; a crash
 * may cost the last seconds of them, and no other column of the account.
 */
import { errnoOf } from '../kit/errors.ts'
import { type FileSystem, readFile, replaceFile } from '../kit/files.ts'

const SAVE_EVERY_MS = 10_000

export interface DuplicateCountsParts {
  readonly path: string
  readonly files: FileSystem
  /** Told of a file that cannot be read or written; counting goes on. */
  readonly onFault: (error: unknown) => void
}

export class DuplicateCounts {
  readonly #parts: DuplicateCountsParts
  readonly #counts: Map<number, number>
  #isSaved = true
  #saving: Promise<void> = Promise.resolve()
  readonly #timer: NodeJS.Timeout

  constructor(parts: DuplicateCountsParts, counts: Map<number, number>) {
    this.#parts = parts
    this.#counts = counts
    this.#timer = setInterval(() => void this.save(), SAVE_EVERY_MS)
    this.#timer.unref()
  }

  add(tenantNo: number, eventCount: number): void {
    this.#counts.set(tenantNo, this.get(tenantNo) + eventCount)
    this.#isSaved = false
  }

  get(tenantNo: number): number {
    return this.#counts.get(tenantNo) ?? 0
  }

  /** Never rejects: see `onFault`. */
  save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#save())
    return this.#saving
  }

  stop(): Promise<void> {
    clearInterval(this.#timer)
    return this.save()
  }

  async #save(): Promise<void> {
    if (this.#isSaved) return
    const { files, path, onFault } = this.#parts
    this.#isSaved = true
    try {
      const text = JSON.stringify(Object.fromEntries(this.#counts))
      await replaceFile(files, path, Buffer.from(`${text}\n`))
    } catch (error) {
      this.#isSaved = false
      onFault(error)
    }
  }
}

export async function openDuplicateCounts(parts: DuplicateCountsParts): Promise<DuplicateCounts> {
  return new DuplicateCounts(parts, await read(parts))
}

/** Empty when there is no file, or none that can be read: a count begins anew, nothing else. */
async function read({ path, files, onFault }: DuplicateCountsParts): Promise<Map<number, number>> {
  const counts = new Map<number, number>()
  try {
    const text = Buffer.from(await readFile(files, path)).toString()
    for (const [tenantNo, count] of Object.entries(JSON.parse(text))) {
      if (Number.isSafeInteger(count)) counts.set(Number(tenantNo), count as number)
    }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') onFault(error)
  }
  return counts
}

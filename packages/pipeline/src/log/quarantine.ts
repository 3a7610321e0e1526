/**
 * `log/quarantine/`: a second name for each segment in which damage was found, so that its bytes are
 * there for a person when the log has long dropped it, and beside it a few words of JSON.
 *
 * It is also how a start knows which segments to read through although their sidecar is right. The
 * same damage is kept once, however often it is met. Nothing here is needed to serve events: the
 * folder can be deleted, and what cannot be written is told and not fatal.
 */
import { join } from 'node:path'
import type { Clock } from '../kit/clock.ts'
import { errnoOf } from '../kit/errors.ts'
import { type FileSystem, readFile, replaceFile } from '../kit/files.ts'
import type { DamageReport } from './damage.ts'
import { segmentName } from './segment.ts'

const QUARANTINE = 'quarantine'
const NOTE_NAME = /^(\d{16})-\d+\.json$/

interface Place {
  readonly folder: string
  readonly files: FileSystem
  readonly clock: Clock
}

/** Segments that the quarantine has a note of. */
export async function quarantinedSegments(at: Omit<Place, 'clock'>): Promise<Set<number>> {
  const names = await notesIn(at)
  return new Set(names.map((name) => Number(name.slice(0, 16))))
}

/** Keeps what `found` says; returns it with the segment's name there, or with the fault. */
export async function quarantine(
  at: Place,
  found: Omit<DamageReport, 'quarantined' | 'fault'>,
): Promise<DamageReport> {
  const { folder, files, clock } = at
  const digits = segmentName(found.segment).slice(0, 16)
  try {
    const known = await noteOf(at, digits, found)
    if (known !== undefined) return { ...found, quarantined: known }
    await files.makeFolder(join(folder, QUARANTINE))
    const name = await linked(at, digits, clock.now())
    return { ...found, quarantined: await noted(at, found, name) }
  } catch (fault) {
    return { ...found, quarantined: undefined, fault }
  }
}

/** Name without its ending; the segment has it too, if it is there. */
async function linked({ folder, files }: Place, digits: string, nowMs: number): Promise<string> {
  for (let epochMs = nowMs; ; epochMs++) {
    const name = join(QUARANTINE, `${digits}-${epochMs}`)
    try {
      await files.link(join(folder, `${digits}.ndjson`), join(folder, `${name}.ndjson`))
      await files.syncFolder(join(folder, QUARANTINE))
      return name
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return name
      if (errnoOf(error) !== 'EEXIST') throw error
    }
  }
}

async function noted(
  { folder, files, clock }: Place,
  found: Omit<DamageReport, 'quarantined' | 'fault'>,
  name: string,
): Promise<string | undefined> {
  const isThere = await files.exists(join(folder, `${name}.ndjson`))
  const quarantined = isThere ? `${name}.ndjson` : undefined
  const note = { ...found, quarantined: quarantined ?? null, foundMs: clock.now() }
  await replaceFile(
    files,
    join(folder, `${name}.json`),
    Buffer.from(`${JSON.stringify(note, null, 1)}\n`),
  )
  return quarantined
}

/** The segment's name in the quarantine if the same damage is noted there; undefined if not. */
async function noteOf(
  at: Place,
  digits: string,
  found: Omit<DamageReport, 'quarantined' | 'fault'>,
): Promise<string | undefined> {
  for (const name of await notesIn(at)) {
    if (!name.startsWith(digits)) continue
    const text = Buffer.from(await readFile(at.files, join(at.folder, QUARANTINE, name))).toString()
    try {
      const note = JSON.parse(text)
      const isSame = JSON.stringify(note.damaged) === JSON.stringify(found.damaged)
      if (isSame) return note.quarantined ?? join(QUARANTINE, name)
    } catch {
      // A note that is damaged itself says nothing; another is written.
    }
  }
  return undefined
}

async function notesIn({ folder, files }: Omit<Place, 'clock'>): Promise<string[]> {
  const path = join(folder, QUARANTINE)
  if (!(await files.exists(path))) return []
  return (await files.list(path)).filter((name) => NOTE_NAME.test(name))
}

/**
 * The file that the log appends to: made new, or opened again behind what it holds already.
 *
 * What must hold: when either function returns, the file's bytes and its name are on stable storage.
 * Only then may a record follow, or one that is there count as durable.
 */
import { join } from 'node:path'
import type { FileSystem, OpenFile } from '../kit/files.ts'
import { encodeHeader, type SegmentHeader, segmentName } from './segment.ts'
import { SidecarRows } from './sidecar.ts'

interface Folder {
  readonly folder: string
  readonly files: FileSystem
}

/** The segment that is appended to, at its durable end. */
export interface OpenSegment {
  readonly header: SegmentHeader
  readonly file: OpenFile
  readonly rows: SidecarRows
  readonly endByte: number
  readonly k: number
  readonly nextOffset: number
}

/** A new segment, its header and its name on stable storage: only now may records follow. */
export async function createSegment(at: Folder, header: SegmentHeader): Promise<OpenSegment> {
  const { bytes, k } = encodeHeader(header)
  const file = await at.files.open(join(at.folder, segmentName(header.segment)), 'create')
  try {
    await file.write(bytes, 0)
    await file.sync()
    await at.files.syncFolder(at.folder)
  } catch (error) {
    await file.close()
    throw error
  }
  const rows = new SidecarRows()
  return { header, file, rows, endByte: bytes.length, k, nextOffset: header.base }
}

/**
 * Opens a segment for writing, cut to `endByte` of what was read of it (`whole`; without it nothing is
 * cut or written). What stays is written again before the sync: a process that died may have died of a
 * failed sync, and then the page cache shows, as clean pages, what the disk does not have; the next
 * sync would say yes without writing them.
 */
export async function openSynced(
  { folder, files }: Folder,
  segment: number,
  whole?: Buffer,
  endByte = 0,
): Promise<OpenFile> {
  const file = await files.open(join(folder, segmentName(segment)), 'write')
  try {
    if (whole !== undefined) {
      if (endByte < whole.length) await file.truncate(endByte)
      await file.write(whole.subarray(0, endByte), 0)
    }
    await file.sync()
    await files.syncFolder(folder)
  } catch (error) {
    await file.close()
    throw error
  }
  return file
}

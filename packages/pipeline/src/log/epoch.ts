/**
 * Whose turn it is to write: `log/epoch`, one line, replaced whenever the folder is opened.
 *
 * The folder's lock (kit/folder-lock.ts) keeps a second process out, but only where processes see
 * each other's pids. Two containers, or a machine that slept while another took over, do not. So the
 * one that opens the folder last leaves its mark, durably, before it writes anything else, and a
 * writer that begins a new segment looks for its own: one that is not there any more fences itself.
 *
 * The line also names the log, for the day on which every header of it is damaged.
 */
import { join } from 'node:path'
import { crc32 } from '../kit/checksum.ts'
import { type Clock, type Random, randomHex } from '../kit/clock.ts'
import { MillraceError } from '../kit/errors.ts'
import { type FileSystem, readFile, replaceFile } from '../kit/files.ts'
import { isUnreadableBytes } from './damage.ts'
import { checkLine, writeCheck } from './record.ts'

export const EPOCH_NAME = 'epoch'

export interface LastEpoch {
  /** Undefined when the line is damaged. */
  readonly logId: string | undefined
  readonly epoch: number
}

interface Place {
  readonly files: FileSystem
  readonly folder: string
  readonly clock: Clock
  readonly random: Random
}

export interface WriterEpoch {
  readonly epoch: number
  /** Rejects with MillraceError `disk_failed` when another process has opened the folder since. */
  expectOwn(): Promise<void>
}

/** Undefined when there is none. Of a damaged one the clock stands in: no counter is as high. */
export async function readEpoch(at: Place): Promise<LastEpoch | undefined> {
  const line = await lineIn(at).catch((error) => {
    if (isUnreadableBytes(error)) return Buffer.alloc(0)
    throw error
  })
  if (line === undefined) return undefined
  const isWhole = checkLine(line, 0, line.length, 0) !== undefined
  if (!isWhole) return { logId: undefined, epoch: at.clock.now() }
  const { logId, epoch } = JSON.parse(line.toString('latin1'))
  return { logId, epoch }
}

/** Takes the turn after the last, durably. */
export async function takeEpoch(
  at: Place,
  logId: string,
  last: LastEpoch | undefined,
): Promise<WriterEpoch> {
  const { files, folder, random } = at
  const epoch = (last?.epoch ?? 0) + 1
  const own = encode(logId, epoch, randomHex(random, 8))
  await replaceFile(files, join(folder, EPOCH_NAME), own)
  return {
    epoch,
    expectOwn: async () => {
      const line = await lineIn(at)
      if (line?.equals(own) === true) return
      throw new MillraceError('disk_failed', `another process opened ${folder} after this one`, {
        hint: 'Two processes must not share a data folder: stop one of them.',
      })
    },
  }
}

/** `writer` tells two apart that took the same turn at the same time: the later line stays. */
function encode(logId: string, epoch: number, writer: string): Buffer {
  const body = Buffer.from(
    `{"format":"millrace-log-epoch","version":1,"logId":"${logId}","epoch":${epoch}` +
      `,"writer":"${writer}"`,
  )
  const bytes = Buffer.alloc(body.length + 17)
  body.copy(bytes)
  writeCheck(bytes, body.length, crc32(body, 0))
  return bytes
}

async function lineIn({ files, folder }: Place): Promise<Buffer | undefined> {
  const path = join(folder, EPOCH_NAME)
  if (!(await files.exists(path))) return undefined
  const bytes = await readFile(files, path)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

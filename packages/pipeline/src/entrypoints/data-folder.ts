/**
 * The data folder as a whole: who may open it, what version wrote it, which bucket it is.
 *
 *   DIR/millrace.json      format version and bucket name, written once
 *   DIR/credentials.json   tenant, write key and first client of the first start (mode 0600)
 *   DIR/duplicates.json    counts of events that came again; begin anew without it
 *   DIR/server.json        address of the running server; gone when it stops
 *   DIR/control.db         tenants, sources, clients, sessions
 *   DIR/keys/              signing keys of tokens (mode 0600)
 *   DIR/log/  DIR/lake/    the two stores
 *   DIR/spool/ DIR/tails/  may be deleted while the server is stopped
 *
 * One process at a time holds the folder. Whatever is wrong with it is said in one sentence before
 * anything is written.
 */
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Random, randomHex } from '../kit/clock.ts'
import { errnoOf, MillraceError } from '../kit/errors.ts'
import { type FileSystem, readFile, replaceFile } from '../kit/files.ts'
import { acquireFolderLock, type FolderLock } from '../kit/folder-lock.ts'

export const FORMAT_VERSION = 1

export interface DataFolder {
  readonly path: string
  readonly bucket: string
  release(): Promise<void>
}

interface Marker {
  readonly format: number
  readonly bucket: string
}

export async function openDataFolder(
  path: string,
  wantedBucket: string | undefined,
  files: FileSystem,
  random: Random,
): Promise<DataFolder> {
  await checkUsable(path, files)
  const lock: FolderLock = await acquireFolderLock(path)
  try {
    // An earlier process may have died between a rename and its sync: what is gone by from here on
    // must still be there after a power loss.
    await files.syncFolder(path)
    const marker =
      (await readMarker(path, files)) ?? (await writeMarker(path, wantedBucket, files, random))
    if (wantedBucket !== undefined && wantedBucket !== marker.bucket) {
      throw new MillraceError(
        'bad_config',
        `${path} is bucket ${marker.bucket}, not ${wantedBucket}`,
        {
          hint: 'The bucket is fixed at first start; leave --lake-bucket out.',
        },
      )
    }
    return { path, bucket: marker.bucket, release: () => lock.release() }
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function checkUsable(path: string, files: FileSystem): Promise<void> {
  try {
    await files.makeFolder(path)
    if (!(await stat(path)).isDirectory())
      throw Object.assign(new Error('not a folder'), { code: 'ENOTDIR' })
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    if (errnoOf(error) === 'ENOSPC')
      throw new MillraceError('disk_full', `no room for ${path}`, { cause: error })
    throw new MillraceError(
      'data_unreadable',
      `${path} cannot be used as a data folder: ${errnoOf(error) ?? String(error)}`,
      { cause: error },
    )
  }
}

/** Undefined for a folder that was never started; throws `data_damaged` or `data_newer`. */
export async function readMarker(path: string, files: FileSystem): Promise<Marker | undefined> {
  const file = join(path, 'millrace.json')
  if (!(await files.exists(file))) {
    // A folder with a log but without its marker is somebody's data: never start anew over it.
    if (await files.exists(join(path, 'log')))
      throw new MillraceError('data_damaged', `${file} is missing beside a log`)
    return undefined
  }
  let marker: Partial<Marker> | null
  try {
    const text = Buffer.from(await readFile(files, file)).toString()
    marker = JSON.parse(text) as Partial<Marker> | null
  } catch (error) {
    throw new MillraceError('data_damaged', `${file} cannot be read`, { cause: error })
  }
  if (
    !Number.isInteger(marker?.format) ||
    typeof marker?.format !== 'number' ||
    typeof marker.bucket !== 'string'
  ) {
    throw new MillraceError('data_damaged', `${file} does not say format and bucket`)
  }
  if (marker.format > FORMAT_VERSION) {
    throw new MillraceError(
      'data_newer',
      `${path} has format ${marker.format}, this version knows ${FORMAT_VERSION}`,
    )
  }
  return { format: marker.format, bucket: marker.bucket }
}

async function writeMarker(
  path: string,
  bucket: string | undefined,
  files: FileSystem,
  random: Random,
): Promise<Marker> {
  const marker = { format: FORMAT_VERSION, bucket: bucket ?? `millrace-${randomLetters(random)}` }
  try {
    await replaceFile(
      files,
      join(path, 'millrace.json'),
      Buffer.from(`${JSON.stringify(marker)}\n`),
    )
  } catch (error) {
    if (errnoOf(error) === 'ENOSPC')
      throw new MillraceError('disk_full', `no room in ${path}`, { cause: error })
    throw error
  }
  return marker
}

/** Twelve letters: bucket names are global on S3, so the default must not collide with another's. */
function randomLetters(random: Random): string {
  return [...randomHex(random, 12).matchAll(/../g)]
    .map(([pair]) => String.fromCharCode(97 + (Number.parseInt(pair, 16) % 26)))
    .join('')
}

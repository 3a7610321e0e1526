/**
 * A file system on a disk that records every write and flush, and what a power cut leaves of it.
 *
 * nbdkit holds the disk in memory (recording-disk.py), nbdfuse shows it as a file, a loop device and ext4
 * make a file system of it. Needs root, loop devices and FUSE.
 */
import { execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PLUGIN = fileURLToPath(new URL('recording-disk.py', import.meta.url))
const ENTRY_BYTES = 13
/** What a disk of today writes whole. Tearing smaller breaks ext4's own metadata, which expects no less. */
const TORN_BYTES = 4_096
const READY_MS_MAX = 10_000

const quiet = {
  encoding: /** @type {const} */ ('utf8'),
  stdio: /** @type {const} */ (['ignore', 'pipe', 'ignore']),
}
const run = (program, ...line) => execFileSync(program, line, quiet).trim()
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Why there can be no such disk here; undefined when there can. */
export function whyNoDisk() {
  if (process.getuid?.() !== 0) return 'loop devices and mounts need root'
  for (const program of ['nbdkit', 'nbdfuse', 'losetup', 'mkfs.ext4', 'fusermount3']) {
    try {
      run('sh', '-c', `command -v ${program}`)
    } catch {
      return `${program} is not installed (nbdkit, nbdkit-plugin-python, libnbd-bin, fuse3, e2fsprogs)`
    }
  }
  return undefined
}

export class RecordingDisk {
  #folder
  #mib
  #processes = []
  #device

  /** @param {string} folder An empty one. @param {number} mib */
  constructor(folder, mib) {
    this.#folder = folder
    this.#mib = mib
    this.record = join(folder, 'record')
    this.mounted = join(folder, 'mounted')
  }

  async mount() {
    const socket = join(this.#folder, 'socket')
    const file = join(this.#folder, 'disk')
    mkdirSync(this.mounted)
    writeFileSync(file, '')
    const sizes = [`record=${this.record}`, `mib=${this.#mib}`]
    this.#spawn('nbdkit', '-f', '-U', socket, 'python', PLUGIN, ...sizes)
    await until(() => statSync(socket).isSocket())
    this.#spawn('nbdfuse', file, `nbd+unix:///?socket=${socket}`)
    await until(() => statSync(file).size === this.#mib * 2 ** 20)
    this.#device = run('losetup', '-f', '--show', file)
    run('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', this.#device)
    run('mount', this.#device, this.mounted)
    run('sync')
  }

  /** Now, as a place in the record. */
  position() {
    return statSync(this.record).size
  }

  async unmount() {
    if (this.#device !== undefined) {
      tryTo(() => run('umount', this.mounted))
      tryTo(() => run('losetup', '-d', this.#device))
    }
    tryTo(() => run('fusermount3', '-u', join(this.#folder, 'disk')))
    this.#device = undefined
    for (const child of this.#processes.splice(0).reverse()) {
      child.kill()
      await Promise.race([new Promise((resolve) => child.once('close', resolve)), pause(2_000)])
    }
  }

  #spawn(program, ...line) {
    this.#processes.push(spawn(program, line, { stdio: 'ignore' }))
  }
}

async function until(holds) {
  for (const endMs = performance.now() + READY_MS_MAX; ; ) {
    try {
      if (holds()) return
    } catch {
      // Not there yet.
    }
    if (performance.now() > endMs) throw new Error(`not within ${READY_MS_MAX} ms: ${holds}`)
    await pause(50)
  }
}

function tryTo(act) {
  try {
    act()
  } catch {
    // What was not set up need not be taken down.
  }
}

/** Plays a record up to ever later moments. */
export class Replay {
  #file
  #size
  #at = 0
  #disk
  #unflushed = []

  constructor(record, mib) {
    this.#file = openSync(record, 'r')
    this.#size = statSync(record).size
    this.#disk = Buffer.alloc(mib * 2 ** 20)
  }

  /** Ends of entries from a place on: the moments at which power can fail. */
  static moments(record, from) {
    const file = openSync(record, 'r')
    const moments = []
    const size = statSync(record).size
    for (let at = 0; at + ENTRY_BYTES <= size; ) {
      at += ENTRY_BYTES + readEntry(file, at).length
      if (at >= from && at <= size) moments.push(at)
    }
    closeSync(file)
    return moments
  }

  /**
   * Writes the disk as a cut at `moment` leaves it: all that was flushed, and of the rest each block with
   * a chance of `kept`. Moments must not go back.
   */
  cut(moment, kept, random, path) {
    while (this.#at < Math.min(moment, this.#size)) this.#step()
    const file = openSync(path, 'w')
    writeSync(file, this.#disk, 0, this.#disk.length, 0)
    for (const { place, bytes } of this.#unflushed) {
      for (let start = 0; start < bytes.length; ) {
        const end = Math.min(bytes.length, start + TORN_BYTES - ((place + start) % TORN_BYTES))
        if (random() < kept) writeSync(file, bytes, start, end - start, place + start)
        start = end
      }
    }
    closeSync(file)
    return this.#unflushed.length
  }

  close() {
    closeSync(this.#file)
  }

  #step() {
    const { kind, place, length } = readEntry(this.#file, this.#at)
    const bytes = Buffer.alloc(length)
    readSync(this.#file, bytes, 0, length, this.#at + ENTRY_BYTES)
    this.#at += ENTRY_BYTES + length
    if (kind === 'W') this.#unflushed.push({ place, bytes })
    else if (kind === 'F') bytes.copy(this.#disk, place)
    else {
      for (const write of this.#unflushed) write.bytes.copy(this.#disk, write.place)
      this.#unflushed = []
    }
  }
}

function readEntry(file, at) {
  const head = Buffer.alloc(ENTRY_BYTES)
  readSync(file, head, 0, ENTRY_BYTES, at)
  return {
    kind: head.toString('latin1', 0, 1),
    place: Number(head.readBigUInt64LE(1)),
    length: head.readUInt32LE(9),
  }
}

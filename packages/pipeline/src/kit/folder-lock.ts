/**
 * One process per folder, without native code: each process that wants the folder puts down a file
 * whose name is its process, then looks whose other files are there.
 *
 * The name holds pid, start time and boot, so there is no moment at which a lock file is half
 * written, and a pid that was given to another process is not mistaken for its owner. A process
 * puts its file down before it looks, so of two that race at least one sees the other; both may
 * withdraw, never both stay. Files of dead processes are removed by the next owner: a kill −9
 * leaves nothing to clean up.
 *
 * It holds among processes of one machine that see each other's pids. Two machines, or two
 * containers without a common pid namespace, must not share a folder.
 */
import { mkdir, open, readdir, readFile, realpath, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, MillraceError } from './errors.ts'

export interface FolderLock {
  /** Idempotent. */
  release(): Promise<void>
}

const LOCK_NAME = /^lock-(\d+)-([0-9a-z]+)$/

/** Folders this process has: within it every lock has the same name. */
const held = new Set<string>()

/**
 * Takes the folder, which is made if missing. Rejects with MillraceError `data_in_use`, the owner's
 * pid in the message, or `data_unreadable`.
 */
export async function acquireFolderLock(folder: string): Promise<FolderLock> {
  const path = await lockable(folder)
  if (held.has(path)) throw inUse(path, process.pid)
  held.add(path)
  const own = `lock-${process.pid}-${(await startOf(process.pid)) ?? '0'}`
  try {
    await (await open(join(path, own), 'w', 0o600)).close()
    const owner = await otherOwner(path, own)
    if (owner !== undefined) throw inUse(path, owner)
  } catch (error) {
    await unlinkIfThere(join(path, own)).catch(() => undefined)
    held.delete(path)
    if (error instanceof MillraceError) throw error
    throw unreadable(path, error)
  }
  let released: Promise<void> | undefined
  const release = async () => {
    // The file goes first: the next acquire in this process uses the same name.
    await unlinkIfThere(join(path, own))
    held.delete(path)
  }
  return {
    release: () => {
      released ??= release()
      return released
    },
  }
}

async function lockable(folder: string): Promise<string> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    return await realpath(folder)
  } catch (error) {
    throw unreadable(folder, error)
  }
}

/** The pid of another living owner; files of dead ones are removed. */
async function otherOwner(path: string, own: string): Promise<number | undefined> {
  for (const name of await readdir(path)) {
    const match = LOCK_NAME.exec(name)
    if (match === null || name === own) continue
    const pid = Number(match[1])
    if (await isAlive(pid, match[2]!)) return pid
    await unlinkIfThere(join(path, name))
  }
  return undefined
}

async function isAlive(pid: number, start: string): Promise<boolean> {
  const now = await startOf(pid)
  if (now !== undefined) return now === start
  if (start !== '0') return false
  try {
    process.kill(pid, 0)
    return pid !== process.pid
  } catch (error) {
    // EPERM: it lives and is another user's.
    return errnoOf(error) === 'EPERM'
  }
}

/**
 * When a process started, as text that no other process with this pid has had: clock ticks since
 * boot and the boot's id, from Linux' /proc. Undefined where there is no such process, or no /proc.
 */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1')
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'latin1')
    // The second field is the program's name in parentheses, which may hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // Field 3 is the state: a zombie holds nothing any more. Field 22 is the start.
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined
    return `${fields[19]}b${boot.slice(0, 8)}`
  } catch {
    return undefined
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

function inUse(folder: string, pid: number): MillraceError {
  return new MillraceError('data_in_use', `${folder} is in use by process ${pid}`)
}

function unreadable(folder: string, cause: unknown): MillraceError {
  const reason = errnoOf(cause) ?? cause
  return new MillraceError('data_unreadable', `cannot lock ${folder}: ${reason}`, { cause })
}

/**
 * Faults of the disk without a broken disk: strace answers system calls in the kernel's place.
 *
 * Node does its file work in a pool of threads and strace counts for each thread: with a pool of one,
 * `when=3` is the third call. io_uring stays off, which strace could not see. With -D the traced program
 * stays the child that was spawned, so that its signals and exit code are its own. Not with
 * --seccomp-bpf, although it is quicker: `signal=KILL` is then never delivered.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Node's pool of one thread, and no way around system calls. */
export const ONE_THREAD = { UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0' }

/** What makes, changes or removes bytes and names on a disk. */
export const DURABLE_CALLS = [
  'fdatasync',
  'fsync',
  'pwrite64',
  'write',
  'rename',
  'link',
  'unlink',
  'ftruncate',
  'mkdir',
]

export function straceWorks() {
  try {
    execFileSync('strace', ['-D', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=none', 'true'])
    return true
  } catch {
    return false
  }
}

/**
 * The words before a program that is to be traced.
 * @param {readonly string[]} injections As in strace(1), without `inject=`.
 * @param {{ paths?: readonly string[], output?: string }} [options] `paths`: calls on these alone.
 */
export function strace(injections, { paths = [], output = '/dev/null' } = {}) {
  const calls = injections.map((each) => each.split(':', 1)[0])
  const trace = calls.length === 0 ? DURABLE_CALLS : calls
  return [
    'strace',
    ...['-D', '-f', '-qq', '-y', '-o', output, '-e', `trace=${trace.join(',')}`],
    ...paths.flatMap((path) => ['-P', path]),
    ...injections.flatMap((each) => ['-e', `inject=${each}`]),
  ]
}

/** The same for `startServer`'s `under`: with a pool of one thread. */
export function underStrace(injections, options) {
  const environment = Object.entries(ONE_THREAD).map(([name, value]) => `${name}=${value}`)
  return ['env', ...environment, ...strace(injections, options)]
}

/**
 * Which calls were made on files in `folder`: for each its numbers, as `when` counts them. strace counts
 * a thread's calls elsewhere as well, and the numbers leave them out.
 * @param {string} path Of what strace wrote.
 * @param {string} folder
 * @returns {Map<string, number[]>}
 */
export function callsIn(path, folder) {
  const counts = new Map()
  const found = new Map()
  for (const line of readFileSync(path, 'latin1').split('\n')) {
    const match = /^(\d+) +(\w+)\(/.exec(line)
    if (match === null) continue
    const [, thread, call] = match
    const count = (counts.get(`${thread} ${call}`) ?? 0) + 1
    counts.set(`${thread} ${call}`, count)
    if (line.includes(folder)) found.set(call, (found.get(call) ?? new Set()).add(count))
  }
  return new Map([...found].map(([call, numbers]) => [call, [...numbers].sort((a, b) => a - b)]))
}

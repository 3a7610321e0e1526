/**
 * One program of a package as a single file of JavaScript, for tests that start a process of it:
 * independent of a build, and of whatever else does not compile at the moment.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const repository = fileURLToPath(new URL('../../', import.meta.url))

export interface BundledProgram {
  readonly path: string
  remove(): void
}

/**
 * `entry` is relative to the repository. Packages of others stay imports: the file lies inside
 * the repository's node_modules, from where they resolve.
 */
export function bundleProgram(entry: string): BundledProgram {
  const base = join(repository, 'node_modules', '.millrace-test-')
  const folder = mkdtempSync(base)
  const path = join(folder, 'program.mjs')
  buildSync({
    entryPoints: [join(repository, entry)],
    outfile: path,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    // Ours, and TypeScript: it is part of the program.
    alias: { '@millrace/protocol': join(repository, 'packages/protocol/src/index.ts') },
    logLevel: 'error',
  })
  return { path, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

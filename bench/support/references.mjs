/**
 * Builds the programs of `bench/references` once, into the machine's temporary folder: the repository stays
 * clean, and a second bench starts at once. Undefined, with a sentence, where a tool is missing.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const REFERENCES = fileURLToPath(new URL('../references/', import.meta.url))
const BUILDS = join(tmpdir(), 'millrace-references')

export const rustReference = () =>
  built('rust', 'target/release/reference', [['cargo', 'build', '--release', '--quiet']])

export const benthosReference = () =>
  built('benthos', 'reference', [
    ['go', 'mod', 'tidy'],
    ['go', 'build', '-o', 'reference', '.'],
  ])

function built(name, program, commands) {
  const folder = join(BUILDS, name)
  mkdirSync(folder, { recursive: true })
  cpSync(join(REFERENCES, name), folder, { recursive: true })
  for (const [command, ...args] of commands) {
    const { status, error, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' })
    if (status === 0) continue
    const why =
      error?.code === 'ENOENT' ? `${command} is not installed` : String(stderr).slice(-300)
    console.log(`${name} is left out: ${why}`)
    return undefined
  }
  return existsSync(join(folder, program)) ? join(folder, program) : undefined
}

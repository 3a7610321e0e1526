/**
 * `millrace demo` as a person starts it, for the tests that look at it with a browser: the links are read
 * from what it prints, and the end is Ctrl-C's.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { PROGRAM } from './server.mjs'

export interface Demo {
  readonly child: ChildProcess
  readonly url: string
  readonly data: string
  /** Both log in once. */
  readonly shopLink: string
  readonly consoleLink: string
  output(): string
}

/** Resolves when the links are printed; rejects with what it said when it ends before. */
export async function startDemo(data: string, flags: readonly string[] = []): Promise<Demo> {
  const line = [PROGRAM, 'demo', '--data', data, '--port', '0', ...flags]
  const child = spawn(process.execPath, line, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  await new Promise<void>((resolve, reject) => {
    const hear = (chunk: Buffer) => {
      output += chunk
      if (output.includes('Ctrl-C')) resolve()
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.once('close', (code) => reject(new Error(`the demo ended with ${code}: ${output}`)))
  })
  const link = (name: string) => new RegExp(`${name} +(http\\S+)`).exec(output)?.[1] ?? ''
  const shopLink = link('shop')
  const consoleLink = link('console')
  const url = new URL(shopLink).origin
  return { child, url, data, shopLink, consoleLink, output: () => output }
}

/** Ends the demo with its server. */
export async function stopDemo({ child }: Demo): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGTERM')
  await ended
}

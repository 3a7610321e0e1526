#!/usr/bin/env node
// The command stands apart from the compiled program so that npm can link it before the first build.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const program = new URL('../dist/cli/millrace.js', import.meta.url)
if (!existsSync(fileURLToPath(program))) {
  console.error('error: millrace is not built yet\nhint: run npm run build in the repository')
  process.exit(1)
}
await import(program.href)

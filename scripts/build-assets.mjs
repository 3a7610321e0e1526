/**
 * Builds what the browser loads and puts it where the server serves it from:
 * packages/pipeline/assets/{tracker,console,shop}.
 */
import { cp, mkdir, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { buildConsole } from '../packages/console/build.mjs'
import { buildTracker } from '../packages/tracker/build.mjs'

const at = (path) => fileURLToPath(new URL(`../packages/${path}`, import.meta.url))

await Promise.all([buildTracker(), buildConsole()])
const assets = at('pipeline/assets')
await rm(assets, { recursive: true, force: true })
await mkdir(`${assets}/tracker`, { recursive: true })
await Promise.all([
  cp(at('tracker/dist/m.js'), `${assets}/tracker/m.js`),
  cp(at('console/dist/www'), `${assets}/console`, { recursive: true }),
  cp(at('console/shop'), `${assets}/shop`, { recursive: true }),
])

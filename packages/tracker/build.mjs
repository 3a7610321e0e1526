/**
 * Bundles the tracker twice: `dist/m.js` for a script tag, `dist/millrace.mjs` for bundlers.
 *
 * es2019 reaches every browser that has pointer events, fetch and WeakMap together.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync } from 'node:zlib'
import { build } from 'esbuild'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))

/**
 * @param {string} [directory] where the two files go
 * @returns {Promise<{scriptPath: string, modulePath: string, scriptBrotliBytes: number}>}
 */
export async function buildTracker(directory = at('dist')) {
  const shared = { bundle: true, minify: true, target: 'es2019', legalComments: 'none' }
  const scriptPath = `${directory}/m.js`
  const modulePath = `${directory}/millrace.mjs`
  await Promise.all([
    build({ ...shared, entryPoints: [at('src/auto.ts')], format: 'iife', outfile: scriptPath }),
    build({ ...shared, entryPoints: [at('src/index.ts')], format: 'esm', outfile: modulePath }),
  ])
  const scriptBrotliBytes = brotliCompressSync(readFileSync(scriptPath)).length
  return { scriptPath, modulePath, scriptBrotliBytes }
}

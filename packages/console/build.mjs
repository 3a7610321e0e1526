/**
 * Builds the console and the demo page into `dist/www`: two HTML files, one shared set of hashed
 * modules, stylesheets and the mark, each with a `.br` and a `.gz` beside it.
 *
 * The HTML is written here and not from a template file because it consists of nothing but the hashed
 * names: no inline script, no inline style, so that the server's Content-Security-Policy can be strict.
 * A name with a hash never changes its bytes: the server may serve `/assets/*` as immutable.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const here = fileURLToPath(new URL('.', import.meta.url))

const PAGES = [
  { file: 'index.html', entry: 'src/console.tsx', title: 'Millrace' },
  { file: 'demo.html', entry: 'src/demo.tsx', title: 'Millrace demo' },
]

/** Browsers of 2023 and later: top-level await, OKLCH, nesting and container queries are native. */
const TARGET = ['es2022', 'chrome111', 'firefox113', 'safari16.4']

export async function buildConsole({ outDir = join(here, 'dist/www') } = {}) {
  await rm(outDir, { recursive: true, force: true })
  const assets = join(outDir, 'assets')
  await mkdir(assets, { recursive: true })
  const result = await build({
    absWorkingDir: here,
    entryPoints: PAGES.map((page) => page.entry),
    outdir: assets,
    entryNames: '[name]-[hash]',
    chunkNames: 'chunk-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    target: TARGET,
    minify: true,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    jsx: 'automatic',
    jsxImportSource: 'preact',
  })
  const mark = await writeMark(assets)
  for (const page of PAGES) {
    await writeFile(join(outDir, page.file), html(page.title, mark, firstLoad(result, page.entry)))
  }
  await precompress(outDir)
  return { outDir, pages: PAGES.map((page) => ({ ...page, ...firstLoad(result, page.entry) })) }
}

/** The files that a page asks for before it shows anything: its entry, what that imports statically, its CSS. */
function firstLoad(result, entry) {
  const outputs = result.metafile.outputs
  const name = Object.keys(outputs).find((file) => outputs[file].entryPoint === entry)
  const scripts = [name]
  for (const file of scripts) {
    for (const { path, kind } of outputs[file].imports) {
      if (kind === 'import-statement' && !scripts.includes(path)) scripts.push(path)
    }
  }
  return {
    scripts: scripts.map((file) => basename(file)),
    styles: [outputs[name].cssBundle].filter(Boolean).map((file) => basename(file)),
  }
}

function html(title, mark, { scripts, styles }) {
  const [entry, ...preloads] = scripts
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width,initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    '<meta name="referrer" content="same-origin">',
    `<title>${title}</title>`,
    `<link rel="icon" type="image/svg+xml" href="/assets/${mark}">`,
    ...styles.map((file) => `<link rel="stylesheet" href="/assets/${file}">`),
    ...preloads.map((file) => `<link rel="modulepreload" href="/assets/${file}">`),
    `<script type="module" src="/assets/${entry}"></script>`,
    '</head>',
    '<body><div id="root"></div><noscript>Millrace needs JavaScript to show this page.</noscript></body>',
    '</html>',
    '',
  ].join('\n')
}

async function writeMark(assets) {
  const svg = await readFile(join(here, 'src/mark.svg'))
  const hash = createHash('sha256').update(svg).digest('hex').slice(0, 8)
  await writeFile(join(assets, `mark-${hash}.svg`), svg)
  return `mark-${hash}.svg`
}

async function precompress(outDir) {
  const params = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY }
  for (const entry of await readdir(outDir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const bytes = await readFile(path)
    await writeFile(`${path}.br`, brotliCompressSync(bytes, { params }))
    await writeFile(`${path}.gz`, gzipSync(bytes, { level: 9 }))
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { outDir } = await buildConsole()
  console.log(outDir)
}

/**
 * The shape of the repository as a test: who may import whom, how large a file or function may grow,
 * where the machine's clock, randomness and environment may be read, which words are not names.
 *
 * To learn the system, read MAY_IMPORT.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'

const ROOT = import.meta.dirname ?? dirname(new URL(import.meta.url).pathname)
const PIPELINE = 'packages/pipeline/src'

/** What each folder of the server may import besides itself: the architecture, as data. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  kit: [],
  // stores: data at rest
  tenants: ['kit'],
  log: ['kit'],
  lake: ['kit', 'log'],
  // steps: data in motion; they never import each other
  collector: ['kit', 'tenants', 'log'],
  delivery: ['kit', 'log', 'lake'],
  query: ['kit', 'tenants', 'log', 'lake'],
  // a vendor's product as one of our ports
  adapters: ['kit', 'tenants', 'log', 'lake', 'delivery', 'query'],
  // programs
  entrypoints: ['kit', 'tenants', 'log', 'lake', 'collector', 'delivery', 'query', 'adapters'],
  cli: ['kit', 'entrypoints'],
}

/** Packages that speak for one vendor or engine, and the only folders that may import them. */
const VENDORS: Readonly<Record<string, string>> = {
  '@duckdb/node-api': 'adapters/duckdb',
  libsql: 'adapters/sqlite',
}

const LINES_MAX = 400
const FUNCTION_LINES_MAX = 70
const BANNED_NAMES = /(?:^|[-/])(?:utils?|helpers?|common|manager|misc|impl|handler2)(?:[-.]|$)/

const sources = filesBelow('packages').filter((path) => /\/src\/.*\.tsx?$/.test(path))
const production = sources.filter((path) => !/\.(?:test|contract)\.tsx?$/.test(path))
const server = production.filter((path) => path.startsWith(PIPELINE))

function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory())
      return ['node_modules', 'dist', 'assets'].includes(entry.name) ? [] : filesBelow(path)
    return [path]
  })
}

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

/** Specifiers of every import and export-from, static or dynamic. */
function importsOf(path: string): string[] {
  return [...read(path).matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)'([^']+)'/gm)].map(
    ([, specifier = '']) => specifier,
  )
}

describe('the shape of the repository', () => {
  test('every import of the server follows the architecture', () => {
    const wrong: string[] = []
    for (const path of server) {
      const folder = relative(PIPELINE, path).split('/')[0] as string
      for (const specifier of importsOf(path)) {
        if (!specifier.startsWith('.')) continue
        const target = relative(PIPELINE, join(dirname(path), specifier)).split('/')[0] as string
        if (target !== folder && !(MAY_IMPORT[folder] ?? []).includes(target))
          wrong.push(`${path} imports ${target}/`)
      }
    }
    expect(wrong).toEqual([])
  })

  test('every folder of the server has a line in the table', () => {
    const folders = new Set(server.map((path) => relative(PIPELINE, path).split('/')[0] as string))
    expect([...folders].filter((folder) => !(folder in MAY_IMPORT))).toEqual([])
  })

  test('only an adapter imports its vendor, and the console and tracker know only the protocol', () => {
    const wrong: string[] = []
    for (const path of production) {
      for (const specifier of importsOf(path)) {
        const home = Object.entries(VENDORS).find(
          ([vendor]) => specifier === vendor || specifier.startsWith(`${vendor}/`),
        )?.[1]
        if (home !== undefined && !path.startsWith(`${PIPELINE}/${home}/`))
          wrong.push(`${path} imports ${specifier}`)
        if (/packages\/(?:console|tracker)\//.test(path) && /^(?:millrace|node:)/.test(specifier))
          wrong.push(`${path} imports ${specifier}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test('there is no cycle of imports', () => {
    const graph = new Map(
      production.map((path) => [
        path,
        importsOf(path)
          .filter((specifier) => specifier.startsWith('.'))
          .map((specifier) => join(dirname(path), specifier)),
      ]),
    )
    const done = new Set<string>()
    const cycles: string[] = []
    const visit = (path: string, trail: readonly string[]) => {
      if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(' → '))
      if (done.has(path) || trail.includes(path)) return
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path])
      done.add(path)
    }
    for (const path of graph.keys()) visit(path, [])
    expect(cycles).toEqual([])
  })

  test(`no file is longer than ${LINES_MAX} lines and none lacks a head comment`, () => {
    const long = production.filter((path) => read(path).split('\n').length > LINES_MAX + 1)
    const headless = production.filter(
      (path) => !/^(?:#!.*\n)?(?:\/\/\/.*\n)*\s*\/\*\*/.test(read(path)),
    )
    expect({ long, headless }).toEqual({ long: [], headless: [] })
  })

  test(`no function is longer than ${FUNCTION_LINES_MAX} lines`, () => {
    const long: string[] = []
    for (const path of production) {
      const text = read(path)
      const file = ts.createSourceFile(
        path,
        text,
        ts.ScriptTarget.Latest,
        true,
        path.endsWith('x') ? ts.ScriptKind.TSX : ts.ScriptKind.TS,
      )
      const line = (at: number) => file.getLineAndCharacterOfPosition(at).line
      /** Lines of functions inside `node`; a factory of small functions is not one long function. */
      const visit = (node: ts.Node): number => {
        let inner = 0
        ts.forEachChild(node, (child) => {
          inner += visit(child)
        })
        if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return inner
        const lines = line(node.getEnd()) - line(node.getStart()) + 1
        if (lines - inner > FUNCTION_LINES_MAX)
          long.push(`${path}:${line(node.getStart()) + 1} has ${lines - inner} lines`)
        return lines
      }
      visit(file)
    }
    expect(long).toEqual([])
  })

  test('time, randomness and environment come in as arguments', () => {
    const HOMES =
      /^packages\/(?:console|tracker)\/|\/(?:kit\/clock|entrypoints\/config)\.ts$|\/(?:cli|entrypoints)\//
    const wrong = production.filter(
      (path) =>
        !HOMES.test(path) &&
        /\bDate\.now\(|\bMath\.random\(|\bprocess\.env\b/.test(withoutComments(read(path))),
    )
    expect(wrong).toEqual([])
  })

  test('names say what a thing is, exports are named, and nothing is re-exported wholesale', () => {
    const wrong = production.filter((path) => {
      const text = read(path)
      return (
        BANNED_NAMES.test(path) || /^export default /m.test(text) || /^export \* from/m.test(text)
      )
    })
    expect(wrong).toEqual([])
  })
})

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')
}

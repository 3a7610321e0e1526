import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { SCOPES } from '../tenants/tenant-store.ts'
import { openApiDocument } from './openapi.ts'

type Json = null | boolean | number | string | Json[] | { [name: string]: Json }
type Members = { [name: string]: Json }

interface Operation {
  readonly security?: readonly Record<string, readonly string[]>[]
  readonly parameters?: readonly { name: string; in: string; required?: boolean; schema: Members }[]
  readonly requestBody?: { content: Record<string, { schema: Members }> }
  readonly responses?: Record<string, { description?: string; content?: Record<string, Members> }>
}

// As clients get it: through JSON.
const document = JSON.parse(JSON.stringify(openApiDocument('https://m.example'))) as Members & {
  paths: Record<string, Record<string, Operation>>
  components: { securitySchemes: Record<string, Members> }
}
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
)

function* members(value: Json): Iterable<Members> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield value
  for (const inner of Object.values(value)) yield* members(inner)
}

test('it says version, title and address', () => {
  expect(document).toMatchObject({ openapi: '3.1.0', servers: [{ url: 'https://m.example' }] })
  expect(document.info).toMatchObject({ title: 'Millrace', version: expect.stringMatching(/^\d/) })
})

test('every reference leads somewhere', () => {
  for (const { $ref } of members(document)) {
    if (typeof $ref !== 'string') continue
    expect($ref.startsWith('#/')).toBe(true)
    const found = $ref
      .slice(2)
      .split('/')
      .reduce<Json | undefined>((at, name) => (at as Members | undefined)?.[name], document)
    expect(found, $ref).toBeDefined()
  }
})

test.each(operations)(
  '$method $path has an answer, and each answer says what it is',
  ({ operation }) => {
    const answers = Object.entries(operation.responses ?? {})
    expect(answers.some(([status]) => /^2\d\d$/.test(status))).toBe(true)
    for (const [status, { description, content = {} }] of answers) {
      expect(status).toMatch(/^[2-5]\d\d$/)
      expect(description, status).toBeTruthy()
      for (const body of Object.values(content)) expect(body.schema).toBeDefined()
    }
  },
)

test.each(operations)(
  '$method $path is guarded by schemes and scopes that exist',
  ({ operation }) => {
    expect(operation.security).toBeDefined()
    for (const requirement of operation.security ?? []) {
      for (const [scheme, scopes] of Object.entries(requirement)) {
        expect(Object.keys(document.components.securitySchemes)).toContain(scheme)
        for (const scope of scopes) expect(SCOPES).toContain(scope)
      }
    }
  },
)

test.each(operations)(
  '$method $path declares each parameter of its path',
  ({ path, operation }) => {
    const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path')
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
    expect(inPath.map(({ name }) => name)).toEqual(named)
    expect(inPath.every(({ required }) => required === true)).toBe(true)
  },
)

test('no schema is empty by accident: each says a type, a choice or a constant', () => {
  const schemas = [...members(document)].flatMap(({ schema }) =>
    schema === undefined ? [] : [schema],
  )
  expect(schemas.length).toBeGreaterThan(20)
  for (const schema of schemas) {
    const said = ['type', 'anyOf', 'enum', 'const', '$ref', 'allOf', 'oneOf']
    expect(said.some((name) => name in (schema as Members))).toBe(true)
  }
})

/** Pages for people and the demo are no API; the document need not list itself. */
const NO_API = /^get \/(?:shop|demo\/state|openapi\.json)$|^post \/demo\/kill$/

test('every route of the code is in it, and no other', () => {
  const src = join(import.meta.dirname, '..')
  const written = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !/\.(?:test|contract)\.ts$/.test(name))
    .flatMap((name) => [
      ...readFileSync(join(src, name), 'utf8').matchAll(
        /\bapp\.(get|post|put|delete)\(\s*'([^']+)'/g,
      ),
    ])
    .map(([, method, path = '']) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`)
    .filter((route) => !NO_API.test(route))
  const routes = [...written, 'post /v1/events'].sort()
  expect(operations.map(({ path, method }) => `${method} ${path}`).sort()).toEqual(routes)
})

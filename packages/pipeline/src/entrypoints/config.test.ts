import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MillraceError } from '../kit/errors.ts'
import { kebab, readConfig, SETTINGS } from './config.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-config-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function yaml(text: string): string {
  const file = join(folder, 'millrace.yaml')
  writeFileSync(file, text)
  return file
}
const read = (
  flags: Record<string, string>,
  environment: Record<string, string> = {},
  text?: string,
) => readConfig({ flags, environment, file: text === undefined ? undefined : yaml(text) })

function refusal(call: () => unknown): MillraceError {
  try {
    call()
  } catch (error) {
    if (error instanceof MillraceError) return error
    throw error
  }
  throw new Error('it was taken')
}

test('without anything said, every setting has its default', () => {
  expect(read({})).toEqual({
    data: resolve('millrace-data'),
    port: 4300,
    host: '127.0.0.1',
    lakeBucket: undefined,
    publicUrl: undefined,
    logLevel: 'info',
    segmentMib: 64,
    logKeepHours: 24,
    flushMib: 64,
    diskReserveMib: 64,
    keyRequestsPerSecond: 1_000,
    keyMibPerSecond: 10,
    tenantRequestsPerSecond: 4_000,
    tenantMibPerSecond: 40,
    serverRequestsPerSecond: 0,
    serverMibPerSecond: 0,
    maxConnections: 10_000,
    maxConnectionsPerAddress: 1_024,
    trustedProxies: [],
    tlsCert: undefined,
    tlsKey: undefined,
    lagLimitMinutes: 15,
    pendingLimitMib: 16384,
  })
})

describe('a flag wins over the environment, that over the file, that over the default', () => {
  const env = { MILLRACE_PORT: '2', MILLRACE_HOST: 'env', MILLRACE_UNKNOWN: 'x' }
  const file = 'port: 3\nhost: file\nsegmentMib: 7\n'

  test('setting by setting', () => {
    expect(read({ port: '1' }, env, file)).toMatchObject({
      port: 1,
      host: 'env',
      segmentMib: 7,
      flushMib: 64,
    })
  })

  test.each(SETTINGS)(
    '$name has a flag, a variable and a member of one name',
    ({ name, flag, env }) => {
      expect(flag.split(' ')[0]).toBe(`--${kebab(name)}`)
      expect(env).toBe(`MILLRACE_${kebab(name).toUpperCase().replaceAll('-', '_')}`)
    },
  )
})

test('hours may be a fraction, or none', () => {
  expect(read({ logKeepHours: '0.25' }).logKeepHours).toBe(0.25)
  expect(read({ logKeepHours: '0' }).logKeepHours).toBe(0)
})

describe('a value that cannot be used', () => {
  const BAD: Readonly<Record<string, readonly string[]>> = {
    data: [''],
    port: ['', 'x', '-1', '65536', '1.5', '0x10', '99999999999'],
    host: ['', 'a b', 'http://a'],
    lakeBucket: ['', 'ab', 'UPPER', '-ab', 'a_b', 'a/b', 'a'.repeat(64)],
    publicUrl: ['', 'shop.example', 'ftp://a', 'https://a/b', 'https://a b'],
    logLevel: ['', 'loud', 'INFO'],
    segmentMib: ['0', '1025', 'x'],
    logKeepHours: ['', '-1', '8761', '1.', '1e2'],
    flushMib: ['0', '257'],
    diskReserveMib: ['-1', '65537', 'x'],
    keyRequestsPerSecond: ['-1', '1.5', '1000001'],
    maxConnections: ['0', 'many'],
    trustedProxies: ['', 'proxy.example', '10.0.0.1,', '10.0.0.0/8'],
    tlsCert: [''],
  }
  const cases = SETTINGS.flatMap(({ name, env, allowed }) =>
    (BAD[name] ?? []).map((text) => ({ name, env, text, allowed })),
  )

  test.each(cases)(
    '$name "$text" is refused with its name and what is allowed',
    ({ name, env, text, allowed }) => {
      const said = `is "${text}", allowed: ${allowed}`
      const byFlag = refusal(() => read({ [name]: text }))
      expect(byFlag).toMatchObject({ code: 'bad_config', message: `--${kebab(name)} ${said}` })
      expect(refusal(() => read({}, { [env]: text })).message).toBe(`${env} ${said}`)
      const byFile = refusal(() => read({}, {}, `${name}: ${JSON.stringify(text)}`))
      expect(byFile.message).toMatch(`millrace.yaml: ${name} ${said}`)
    },
  )

  test('is passed over where a stronger one stands', () => {
    expect(read({ port: '1' }, { MILLRACE_PORT: 'x' }).port).toBe(1)
  })
})

test('addresses of proxies may have blanks between', () => {
  const { trustedProxies } = read({ trustedProxies: '10.0.0.1, 2001:db8::1' })
  expect(trustedProxies).toEqual(['10.0.0.1', '2001:db8::1'])
})

test('a certificate without its key is refused, and so is a key alone', () => {
  for (const flags of [{ tlsCert: 'a.pem' }, { tlsKey: 'a.key' }] as Record<string, string>[])
    expect(refusal(() => read(flags))).toMatchObject({ code: 'bad_config' })
  expect(read({ tlsCert: 'a.pem', tlsKey: 'a.key' }).tlsKey).toBe(resolve('a.key'))
})

describe('the file', () => {
  test('may be empty, and a member may be without a value', () => {
    expect(read({}, {}, '').port).toBe(4300)
    expect(read({}, {}, '# nothing\n').port).toBe(4300)
    expect(read({}, {}, 'lakeBucket:\nport:\n')).toMatchObject({
      port: 4300,
      lakeBucket: undefined,
    })
  })

  test('with an unknown member is refused with its name and the known ones', () => {
    const { message } = refusal(() => read({}, {}, 'prot: 1'))
    expect(message).toContain('"prot" is no setting; there are data, port,')
  })

  test('with a wrong syntax is refused with the line', () => {
    expect(refusal(() => read({}, {}, 'port: 1\nhost: "a\n')).message).toMatch(
      /at line \d+, column/,
    )
    expect(refusal(() => read({}, {}, 'port: 1\nport: 2\n')).message).toContain('at line 2')
  })

  test.each([
    ['- port', 'members of one mapping'],
    ['port', 'members of one mapping'],
    ['port: [1]', 'port is [1], one text or number'],
    ['data: true', 'data is true, one text or number'],
  ])('%j is refused', (text, said) => {
    expect(refusal(() => read({}, {}, text)).message).toContain(said)
  })

  test('that is missing is refused with its name', () => {
    const missing = { flags: {}, environment: {}, file: '/nowhere/m.yaml' }
    expect(refusal(() => readConfig(missing)).message).toContain('/nowhere/m.yaml: ENOENT')
  })
})

test('the result cannot be changed', () => {
  expect(Object.isFrozen(read({}))).toBe(true)
})

/**
 * The one place that reads flags, environment and the YAML file: into a typed, frozen `Config`.
 *
 * The three say the same things; a flag wins over the environment, the environment over the file, the
 * file over the default. A value that cannot be used stops the start with its name, what was found and
 * what is allowed. Nothing else of the server knows its environment.
 */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { parse } from 'yaml'
import { MillraceError } from '../kit/errors.ts'

export interface Config {
  /** Absolute path of the data folder. */
  readonly data: string
  /** 0 picks a free one. */
  readonly port: number
  readonly host: string
  /** The lake's bucket name; fixed at first start. Undefined: a random one is made. */
  readonly lakeBucket: string | undefined
  /** The address that clients use, where a proxy stands before the server; issuer of tokens. */
  readonly publicUrl: string | undefined
  readonly logLevel: string
  readonly segmentMib: number
  /** How long a segment is kept after its newest record, once it is delivered. */
  readonly logKeepHours: number
  /** What waits for a tenant is delivered at this size at the latest. */
  readonly flushMib: number
  /** Events are refused while less is free on the disk; 0 is off. */
  readonly diskReserveMib: number
  /** What a write key, a tenant, the whole server may send; 0: unlimited. */
  readonly keyRequestsPerSecond: number
  readonly keyMibPerSecond: number
  readonly tenantRequestsPerSecond: number
  readonly tenantMibPerSecond: number
  readonly serverRequestsPerSecond: number
  readonly serverMibPerSecond: number
  readonly maxConnections: number
  readonly maxConnectionsPerAddress: number
  /** Addresses whose connections are many clients'. */
  readonly trustedProxies: readonly string[]
  /** PEM files, both or neither: the port speaks TLS. */
  readonly tlsCert: string | undefined
  readonly tlsKey: string | undefined
  /** `/ready` is 503 when delivery is overdue for longer; 0: never. */
  readonly lagLimitMinutes: number
  /** … when more waits for the lake; 0: never. */
  readonly pendingLimitMib: number
}

interface Setting {
  readonly name: keyof Config
  readonly flag: string
  readonly env: string
  readonly help: string
  readonly fallback: string | undefined
  readonly read: (text: string) => Config[keyof Config] | undefined
  readonly allowed: string
}

const numberBetween = (low: number, high: number) => (text: string) =>
  /^\d{1,6}(\.\d{1,6})?$/.test(text) && Number(text) >= low && Number(text) <= high
    ? Number(text)
    : undefined

const integerBetween = (low: number, high: number) => (text: string) =>
  /^\d{1,10}$/.test(text) && Number(text) >= low && Number(text) <= high ? Number(text) : undefined

const RATE_MAX = 1_000_000
const CONNECTIONS_MAX = 1_000_000

export const SETTINGS: readonly Setting[] = [
  {
    name: 'data',
    flag: '--data <dir>',
    env: 'MILLRACE_DATA',
    help: 'data folder',
    fallback: 'millrace-data',
    read: (text) => (text === '' ? undefined : resolve(text)),
    allowed: 'a folder',
  },
  {
    name: 'port',
    flag: '--port <n>',
    env: 'MILLRACE_PORT',
    help: 'port to listen on; 0 picks a free one',
    fallback: '4300',
    read: integerBetween(0, 65_535),
    allowed: '0 to 65535',
  },
  {
    name: 'host',
    flag: '--host <h>',
    env: 'MILLRACE_HOST',
    help: 'address to listen on',
    fallback: '127.0.0.1',
    read: (text) => (/^[A-Za-z0-9.:_-]+$/.test(text) ? text : undefined),
    allowed: 'a host name or address',
  },
  {
    name: 'lakeBucket',
    flag: '--lake-bucket <name>',
    env: 'MILLRACE_LAKE_BUCKET',
    help: 'bucket name of the lake; fixed at first start',
    fallback: undefined,
    read: (text) => (/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(text) ? text : undefined),
    allowed: '3 to 63 lower-case letters, digits and dashes',
  },
  {
    name: 'publicUrl',
    flag: '--public-url <url>',
    env: 'MILLRACE_PUBLIC_URL',
    help: 'address that clients use, behind a proxy',
    fallback: undefined,
    read: (text) => (/^https?:\/\/[^\s/]+$/.test(text) ? text : undefined),
    allowed: 'http(s)://host[:port]',
  },
  {
    name: 'logLevel',
    flag: '--log-level <level>',
    env: 'MILLRACE_LOG_LEVEL',
    help: 'debug, info, warn, error or silent',
    fallback: 'info',
    read: (text) =>
      ['debug', 'info', 'warn', 'error', 'silent'].includes(text) ? text : undefined,
    allowed: 'debug, info, warn, error, silent',
  },
  {
    name: 'segmentMib',
    flag: '--segment-mib <n>',
    env: 'MILLRACE_SEGMENT_MIB',
    help: 'size of a log segment',
    fallback: '64',
    read: integerBetween(1, 1024),
    allowed: '1 to 1024',
  },
  {
    name: 'logKeepHours',
    flag: '--log-keep-hours <n>',
    env: 'MILLRACE_LOG_KEEP_HOURS',
    help: 'a delivered log segment is kept this long, and its batch ids are remembered',
    fallback: '24',
    read: numberBetween(0, 8_760),
    allowed: '0 to 8760, fractions too',
  },
  {
    name: 'flushMib',
    flag: '--flush-mib <n>',
    env: 'MILLRACE_FLUSH_MIB',
    help: 'a tenant is delivered to the lake when this much waits, or by age',
    fallback: '64',
    read: integerBetween(1, 256),
    allowed: '1 to 256',
  },
  {
    name: 'diskReserveMib',
    flag: '--disk-reserve-mib <n>',
    env: 'MILLRACE_DISK_RESERVE_MIB',
    help: 'events are refused while less than this is free on the disk; 0 is off',
    fallback: '64',
    read: integerBetween(0, 65_536),
    allowed: '0 to 65536',
  },
  // What a busy site sends: a thousand visitors who move, each with a batch a second.
  rate('keyRequestsPerSecond', 'a write key', 1_000),
  rate('keyMibPerSecond', 'a write key', 10),
  rate('tenantRequestsPerSecond', 'a tenant', 4_000),
  rate('tenantMibPerSecond', 'a tenant', 40),
  rate('serverRequestsPerSecond', 'everyone together', 0),
  rate('serverMibPerSecond', 'everyone together', 0),
  {
    name: 'maxConnections',
    flag: '--max-connections <n>',
    env: 'MILLRACE_MAX_CONNECTIONS',
    help: 'open connections; more are closed at once. Fewer where the system allows fewer files',
    fallback: '10000',
    read: integerBetween(1, CONNECTIONS_MAX),
    allowed: `1 to ${CONNECTIONS_MAX}`,
  },
  {
    name: 'maxConnectionsPerAddress',
    flag: '--max-connections-per-address <n>',
    env: 'MILLRACE_MAX_CONNECTIONS_PER_ADDRESS',
    help: 'open connections of one address that is neither this machine nor a trusted proxy',
    fallback: '1024',
    read: integerBetween(1, CONNECTIONS_MAX),
    allowed: `1 to ${CONNECTIONS_MAX}`,
  },
  {
    name: 'trustedProxies',
    flag: '--trusted-proxies <addresses>',
    env: 'MILLRACE_TRUSTED_PROXIES',
    help: 'addresses of proxies, whose connections are not limited by address',
    fallback: undefined,
    read: (text) => {
      const addresses = text.split(',').map((address) => address.trim())
      return addresses.every((address) => isIP(address) !== 0) ? addresses : undefined
    },
    allowed: 'IP addresses with commas between',
  },
  {
    name: 'tlsCert',
    flag: '--tls-cert <file>',
    env: 'MILLRACE_TLS_CERT',
    help: 'PEM file with the certificate and its chain: the port speaks TLS',
    fallback: undefined,
    read: (text) => (text === '' ? undefined : resolve(text)),
    allowed: 'a file',
  },
  {
    name: 'tlsKey',
    flag: '--tls-key <file>',
    env: 'MILLRACE_TLS_KEY',
    help: "PEM file with the certificate's private key",
    fallback: undefined,
    read: (text) => (text === '' ? undefined : resolve(text)),
    allowed: 'a file',
  },
  {
    name: 'lagLimitMinutes',
    flag: '--lag-limit-minutes <n>',
    env: 'MILLRACE_LAG_LIMIT_MINUTES',
    help: '/ready is 503 when delivery is overdue for longer; 0: never',
    fallback: '15',
    read: integerBetween(0, 10_080),
    allowed: '0 to 10080',
  },
  {
    name: 'pendingLimitMib',
    flag: '--pending-limit-mib <n>',
    env: 'MILLRACE_PENDING_LIMIT_MIB',
    help: '/ready is 503 when this much waits for the lake; 0: never',
    fallback: '16384',
    read: integerBetween(0, 1_048_576),
    allowed: '0 to 1048576',
  },
]

function rate(name: keyof Config & `${string}PerSecond`, whose: string, fallback: number): Setting {
  const unit = name.includes('Mib') ? 'MiB' : 'requests'
  return {
    name,
    flag: `--${kebab(name)} <n>`,
    env: `MILLRACE_${kebab(name).toUpperCase().replaceAll('-', '_')}`,
    help: `${unit} a second that ${whose} may send; 0: unlimited`,
    fallback: String(fallback),
    read: integerBetween(0, RATE_MAX),
    allowed: `0 to ${RATE_MAX}`,
  }
}

export interface ConfigInput {
  /** Flags by setting name. */
  readonly flags: Readonly<Record<string, string | undefined>>
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Path of a YAML file; members are the setting names. */
  readonly file?: string | undefined
}

/** What is not said and has no default. */
const ABSENT = {
  lakeBucket: undefined,
  publicUrl: undefined,
  trustedProxies: [],
  tlsCert: undefined,
  tlsKey: undefined,
} as const

export function readConfig({ flags, environment, file }: ConfigInput): Config {
  const written: Readonly<Record<string, string>> = file === undefined ? {} : readYaml(file)
  const config: Record<string, unknown> = {}
  for (const { name, env, fallback, read, allowed } of SETTINGS) {
    const [from, text] =
      flags[name] !== undefined
        ? [`--${kebab(name)}`, flags[name]]
        : environment[env] !== undefined
          ? [env, environment[env]]
          : written[name] !== undefined
            ? [`${file}: ${name}`, written[name]]
            : ['default', fallback]
    if (text === undefined) continue
    const value = read(text)
    if (value === undefined)
      throw new MillraceError('bad_config', `${from} is "${text}", allowed: ${allowed}`)
    config[name] = value
  }
  const { tlsCert, tlsKey } = config
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new MillraceError(
      'bad_config',
      '--tls-cert and --tls-key (tlsCert and tlsKey) are given both or neither',
    )
  }
  return Object.freeze({ ...ABSENT, ...config }) as unknown as Config
}

/** Members as text. One without a value (`port:`) is not given. */
function readYaml(file: string): Record<string, string> {
  let members: unknown
  try {
    members = parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new MillraceError('bad_config', `${file}: ${(error as Error).message.split('\n')[0]}`, {
      cause: error,
    })
  }
  if (members === null || members === undefined) return {}
  if (typeof members !== 'object' || Array.isArray(members))
    throw new MillraceError('bad_config', `${file}: settings are members of one mapping`)
  const unknown = Object.keys(members).find((key) => !SETTINGS.some(({ name }) => name === key))
  if (unknown !== undefined) {
    throw new MillraceError(
      'bad_config',
      `${file}: "${unknown}" is no setting; there are ${SETTINGS.map(({ name }) => name).join(', ')}`,
    )
  }
  const given = Object.entries(members).filter(([, value]) => value !== null)
  for (const [name, value] of given) {
    if (typeof value !== 'string' && typeof value !== 'number') {
      throw new MillraceError(
        'bad_config',
        `${file}: ${name} is ${JSON.stringify(value)}, one text or number is expected`,
      )
    }
  }
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]))
}

/** `lakeBucket` → `lake-bucket`, as the flag says it. */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

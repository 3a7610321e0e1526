/**
 * How many connections there are, of all and of one address, and which are refused.
 *
 * A refused connection is closed before a byte of it is read. This machine's own addresses and those of
 * trusted proxies have no limit of their own: behind a proxy every client has the proxy's address.
 *
 * Bounds: an address is remembered while it has a connection, so there are at most as many as those.
 */
import { readFileSync } from 'node:fs'
import { isIPv6, type Socket } from 'node:net'

export interface ConnectionLimits {
  readonly max: number
  readonly maxPerAddress: number
  /** Addresses without a limit of their own. */
  readonly trusted: readonly string[]
}

/** Files that are no connections: the log, the control plane, the lake, children and their pipes. */
const OTHER_FILES = 512

export class Connections {
  readonly #limits: ConnectionLimits
  readonly #trusted: ReadonlySet<string>
  readonly #byAddress = new Map<string, number>()
  #count = 0

  constructor(limits: ConnectionLimits) {
    this.#limits = limits
    this.#trusted = new Set(limits.trusted.map(plainAddress))
  }

  /** False: it must be closed. True: it is counted until it closes. */
  admit(socket: Pick<Socket, 'remoteAddress' | 'once'>): boolean {
    const address = plainAddress(socket.remoteAddress ?? '')
    const ofAddress = this.#byAddress.get(address) ?? 0
    if (this.#count >= this.#limits.max) return false
    if (ofAddress >= this.#limits.maxPerAddress && !this.#isFree(address)) return false
    this.#count++
    this.#byAddress.set(address, ofAddress + 1)
    socket.once('close', () => this.#left(address))
    return true
  }

  #isFree(address: string): boolean {
    return isLoopback(address) || this.#trusted.has(address)
  }

  #left(address: string): void {
    this.#count--
    const ofAddress = (this.#byAddress.get(address) ?? 1) - 1
    if (ofAddress === 0) this.#byAddress.delete(address)
    else this.#byAddress.set(address, ofAddress)
  }
}

/** An IPv4 address is often seen through IPv6. */
function plainAddress(address: string): string {
  return isIPv6(address) ? address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '') : address
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.')
}

/**
 * As many connections of `wanted` as the process may have files: one that finds no file left takes it
 * from the log. Where the system does not say (`/proc/self/limits`), `wanted`.
 */
export function connectionsThatFit(wanted: number, limitsText = processLimits()): number {
  const files = Number(/^Max open files\s+(\d+)/m.exec(limitsText)?.[1] ?? Number.POSITIVE_INFINITY)
  return Math.max(1, Math.min(wanted, files - OTHER_FILES))
}

function processLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return ''
  }
}

/**
 * UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits.
 *
 * Ids made later sort later, which keeps the ids of one page together wherever they are indexed.
 */

export function uuidv7(nowMs: number, random: Uint8Array): string {
  const bytes = random.slice(0, 16)
  for (let index = 5, rest = nowMs; index >= 0; index--, rest = Math.floor(rest / 256)) {
    bytes[index] = rest % 256
  }
  bytes[6] = (bytes[6]! & 0x0f) | 0x70
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  let hex = ''
  for (const byte of bytes) hex += (byte + 256).toString(16).slice(1)
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

export const newId = (): string => uuidv7(Date.now(), crypto.getRandomValues(new Uint8Array(16)))

/**
 * Ids, keys and secrets: how they look, how they are hashed, how they are compared.
 *
 * The prefix says what a string is, so that one found in a log or a repository can be named by eye
 * and by a scanner. Secrets are 256 random bits: nobody guesses them, so SHA-256 is enough at rest
 * and a slow hash would only cost the honest.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { type Random, randomHex } from '../kit/clock.ts'

export const SESSION_TOKEN_PATTERN = /^[0-9a-f]{64}$/

/** Public name of an OAuth client. */
export const newClientId = (random: Random): string => `cl_${randomHex(random, 8)}`
/** Public: it stands in web pages. 128 bits, so that nobody meets another's by chance. */
export const newWriteKey = (random: Random): string => `wk_${randomHex(random, 16)}`
/** Secret. */
export const newClientSecret = (random: Random): string => `cs_${randomHex(random, 32)}`
/** Secret: the value of the console's cookie. */
export const newSessionToken = (random: Random): string => randomHex(random, 32)
/** Secret, used once: opens the console without typing. */
export const newLink = (random: Random): string => `lk_${randomHex(random, 32)}`

/** Lower-case hex SHA-256: what is kept of a secret. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

/**
 * Whether `secret` is the one behind `hash`, in a time that does not tell how much of it is right.
 * Without a hash (no such client) the same work is done, and the answer is no.
 */
export function isSecret(hash: string | undefined, secret: string): boolean {
  const given = Buffer.from(hashSecret(secret), 'hex')
  const kept = Buffer.from(hash ?? '', 'hex')
  return timingSafeEqual(given, kept.byteLength === given.byteLength ? kept : NO_HASH)
}

/** No text is known that hashes to zeros. */
const NO_HASH = Buffer.alloc(32)

/** What a page must send beside the cookie: derived from it, so that nothing more is kept. */
export function csrfOf(sessionToken: string): string {
  return createHmac('sha256', sessionToken).update('csrf').digest('hex')
}

export function isCsrf(sessionToken: string, given: string): boolean {
  const right = Buffer.from(csrfOf(sessionToken), 'utf8')
  const sent = Buffer.from(given, 'utf8')
  return sent.byteLength === right.byteLength && timingSafeEqual(sent, right)
}

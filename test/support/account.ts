/**
 * A server for a whole campaign of bad input, and what must hold at its end whatever was sent: nothing
 * was a fault of the server (5xx), it still lives and takes events, and its account is exactly what its
 * answers said.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { bearerToken, readCredentials, send, sqlRows, startServer, stopped } from './server.mjs'

type Answer = Awaited<ReturnType<typeof send>>

export interface Campaign {
  readonly url: string
  readonly key: string
  readonly token: string
  readonly data: string
  /** Posts a body as it is to `/v1/events`; every answer is counted. */
  post(body: string | Uint8Array, headers?: Record<string, string>): Promise<Answer>
  rows(sql: string): Promise<unknown[][]>
  /** Counts an answer that came by another way than `post`. */
  count(status: number, body: unknown): void
  /** Checks the account, stops the server, removes its folder. */
  end(): Promise<void>
}

export async function startCampaign(flags: readonly string[] = []): Promise<Campaign> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-hostile-'))
  const data = join(folder, 'data')
  const server = await startServer(data, { flags })
  const credentials = readCredentials(data)
  const { url } = server
  const { writeKey: key } = credentials
  const token = await bearerToken(url, credentials)
  const sums = { accepted: 0, rejected: 0, duplicate: 0 }
  const faults: string[] = []

  const count = (status: number, body: unknown) => {
    if (status >= 500) faults.push(`${status} ${JSON.stringify(body)}`)
    if (status !== 202) return
    const answer = body as { accepted: number; rejected: unknown[]; duplicate: boolean }
    if (answer.duplicate) return
    sums.accepted += answer.accepted
    sums.rejected += answer.rejected.length
  }
  const post: Campaign['post'] = async (body, headers = {}) => {
    const answer = await send(`${url}/v1/events?key=${key}`, {
      headers: { 'Content-Type': 'application/json', ...headers },
      body,
    })
    count(answer.status, answer.body)
    return answer
  }
  const rows = (sql: string) => sqlRows(url, token, sql)

  async function end() {
    const ledger = await send(`${url}/v1/ledger`, {
      method: 'GET',
      headers: { Authorization: `Bearer ${token}` },
    })
    const [[inSql]] = (await rows('select count(*) from events')) as [[number]]
    const [[refused]] = (await rows('select count(*) from rejections')) as [[number]]
    const { accepted, rejected, received, duplicate } = ledger.body
    const code = await stopped(server)
    rmSync(folder, { recursive: true })
    expect(faults).toEqual([])
    expect(code).toBe(0)
    expect(server.output()).not.toContain('a fault of ours')
    expect({ accepted, rejected }).toEqual({ accepted: sums.accepted, rejected: sums.rejected })
    expect(received).toBe(accepted + rejected + duplicate)
    expect({ inSql, refused }).toEqual({ inSql: sums.accepted, refused: sums.rejected })
  }
  return { url, key, token, data, post, rows, count, end }
}

/**
 * The program that fills the demo's tenant `sample`: `simulate` with fixed numbers, reporting to its parent.
 *
 * Arguments: the server's address and the file with the tenant's client.
 */
import { readFileSync } from 'node:fs'
import { connect } from '../connection.ts'
import { simulate } from './simulate.ts'

/** 2,400 visits of 7 days come to about 1.5 million events. */
const SAMPLE = { visits: 2_400, days: 7, seed: 7 }
const REPORT_EVERY_MS = 200

const [, , url = '', credentialsFile = ''] = process.argv
const { clientId, clientSecret } = JSON.parse(readFileSync(credentialsFile, 'utf8')) as {
  clientId: string
  clientSecret: string
}
const connection = await connect({ url, clientId, clientSecret })

let reportedMs = 0
const report = (visits: number, events: number, refused: number, done: boolean) =>
  process.send?.({ visits, totalVisits: SAMPLE.visits, events, refused, done })

const { visits, accepted, rejected, duplicate } = await simulate({
  ...SAMPLE,
  url,
  token: connection.token,
  endMs: Date.now(),
  onProgress: (made, events) => {
    if (performance.now() - reportedMs < REPORT_EVERY_MS) return
    reportedMs = performance.now()
    report(made, events, 0, false)
  },
})
report(visits, accepted + duplicate, rejected, true)
process.disconnect?.()

/** `millrace simulate`: made-up visits into the tenant of the client that asks. */
import { type ConnectionFlags, connect } from '../connection.ts'
import { progressLine } from '../progress.ts'
import { simulate } from '../simulate/simulate.ts'
import { wholeNumber } from './sql.ts'

export async function simulateCommand(
  flags: ConnectionFlags & { visits: string; days: string; seed: string },
): Promise<void> {
  const visits = wholeNumber('--visits', flags.visits)
  const connection = await connect(flags)
  const progress = progressLine(process.stderr)
  const startedMs = performance.now()
  const done = await simulate({
    url: connection.url,
    token: connection.token,
    visits,
    days: wholeNumber('--days', flags.days),
    seed: wholeNumber('--seed', flags.seed),
    endMs: Date.now(),
    onProgress: (made, events) =>
      progress.update(made, visits, `${events.toLocaleString('en')} events`),
  })
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  progress.end(
    `${done.visits} made-up visits, ${done.accepted.toLocaleString('en')} events, ${done.rejected} refused, in ${seconds} s`,
  )
}

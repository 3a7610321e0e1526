/** `millrace simulate`: made-up visits into the tenant of the client that asks. */
import { type ConnectionFlags, connect } from '../connection.ts'
import { progressLine } from '../progress.ts'
import { simulate } from '../simulate/simulate.ts'
import { wholeNumber } from './sql.ts'

/** About 600 events each: a night's work. */
const VISITS_MAX = 1_000_000
const DAYS_MAX = 3_650

export async function simulateCommand(
  flags: ConnectionFlags & { visits: string; days: string; seed: string },
): Promise<void> {
  const visits = wholeNumber('--visits', flags.visits, 1, VISITS_MAX)
  const days = wholeNumber('--days', flags.days, 1, DAYS_MAX)
  const seed = wholeNumber('--seed', flags.seed)
  const connection = await connect(flags)
  // A wrong address or secret is said at once; later faults are waited out.
  await connection.token()
  const progress = progressLine(process.stderr)
  const startedMs = performance.now()
  const done = await simulate({
    url: connection.url,
    token: connection.token,
    visits,
    days,
    seed,
    endMs: Date.now(),
    onProgress: (made, events) =>
      progress.update(made, visits, `${events.toLocaleString('en')} events`),
  })
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  const again =
    done.duplicate === 0 ? '' : `, ${done.duplicate.toLocaleString('en')} were there already`
  progress.end(
    `${done.visits} made-up visits, ${done.accepted.toLocaleString('en')} events, ${done.rejected} refused on purpose${again}, in ${seconds} s`,
  )
}

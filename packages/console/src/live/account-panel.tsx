/** The account of the tenant: what was sent, acknowledged, is in SQL, and is lost. */
import { useRef, useState } from 'preact/hooks'
import type { Ledger } from '../api/ledger.ts'
import { type ApiProblem, asProblem } from '../api/problem.ts'
import { Figure } from '../components/figure.tsx'
import { Notice, ProblemNotice } from '../components/notice.tsx'
import { createVerdict, type Verdict } from '../kit/account.ts'
import { count, duration } from '../kit/format.ts'
import { usePoll } from '../kit/poll.ts'
import { type AccountReading, readAccount } from './account-reading.ts'

const READ_EVERY_MS = 3_000

interface Judged extends AccountReading {
  readonly lostVerdict: Verdict
  readonly differenceVerdict: Verdict
}

function agreement(reading: Judged) {
  const { undeliverable, suppressed } = reading.ledger
  if (reading.differenceVerdict === 'ok') {
    return undeliverable + suppressed === 0
      ? '✓ equals acknowledged'
      : '✓ acknowledged less what is no row'
  }
  const amount = `${reading.difference > 0 ? '+' : '−'}${count(Math.abs(reading.difference))}`
  return reading.differenceVerdict === 'settling'
    ? `${amount} settling`
    : `${amount} against the ledger`
}

/** Where acknowledged events are that are not in the lake; what is rare is named where there is some. */
function whereabouts({ pending, lagMs, rejected, undeliverable, suppressed }: Ledger): string {
  const age = lagMs === null ? '' : ` (oldest ${duration(lagMs)})`
  const parts = [
    `${count(pending)} not yet in the lake${age}`,
    `${count(rejected)} rejected`,
    ...(undeliverable > 0 ? [`${count(undeliverable)} undeliverable`] : []),
    ...(suppressed > 0 ? [`${count(suppressed)} repeated`] : []),
  ]
  // A line breaks between two of them, never inside one.
  return parts.map((part) => part.replaceAll(' ', '\u00a0')).join('\u00a0· ')
}

/** Numbers that are missing and were repeated under the id of another are not lost. */
function missing({ lost, ledger: { suppressed } }: AccountReading): string {
  if (lost === 0) return 'no number is missing'
  return lost > suppressed ? 'numbers missing on pages' : 'no more than were repeated'
}

function Unaccounted({ amount }: { amount: number }) {
  if (amount === 0) return null
  return (
    <Notice tone="bad">
      <p>
        The account does not add up: {count(Math.abs(amount))} acknowledged events are{' '}
        {amount > 0 ? 'in no column' : 'in more than one column'} of it.
      </p>
      <p class="problem-hint">
        Acknowledged = in the lake + not yet there + undeliverable + repeated. Rows that another
        engine wrote or removed show here, too.
      </p>
    </Notice>
  )
}

/** Only none is good. */
const lostTone = ({ lost, lostVerdict }: Judged) =>
  lost > 0 && lostVerdict === 'ok' ? 'plain' : lostVerdict

export function AccountPanel() {
  const [reading, setReading] = useState<Judged>()
  const [problem, setProblem] = useState<ApiProblem>()
  const verdicts = useRef({ lost: createVerdict(), difference: createVerdict() })
  usePoll(
    async (signal) => {
      try {
        const read = await readAccount(signal)
        const now = performance.now()
        setReading({
          ...read,
          lostVerdict: verdicts.current.lost(Math.max(0, read.lost - read.ledger.suppressed), now),
          differenceVerdict: verdicts.current.difference(read.difference, now),
        })
        setProblem(undefined)
      } catch (error) {
        if (!signal.aborted) setProblem(asProblem(error))
      }
    },
    READ_EVERY_MS,
    [],
  )
  return (
    <section class="account" aria-label="The account">
      {problem !== undefined && <ProblemNotice error={problem} />}
      <Unaccounted amount={reading?.unaccounted ?? 0} />
      <dl class="figures">
        <Figure label="Sent" value={reading?.sent} note="by the events’ own numbers" />
        <Figure
          label="Acknowledged"
          value={reading?.ledger.accepted}
          note={reading && whereabouts(reading.ledger)}
        />
        <Figure
          label="In SQL"
          value={reading?.inSql}
          tone={reading?.differenceVerdict ?? 'plain'}
          note={reading && agreement(reading)}
        />
        <Figure
          label="Lost"
          value={reading?.lost}
          tone={reading && lostTone(reading)}
          note={reading && missing(reading)}
        />
      </dl>
    </section>
  )
}

/** The account of the tenant: what was sent, acknowledged, is in SQL, and is lost. */
import { useRef, useState } from 'preact/hooks'
import { type ApiProblem, asProblem } from '../api/problem.ts'
import { Figure } from '../components/figure.tsx'
import { ProblemNotice } from '../components/notice.tsx'
import { createVerdict, type Verdict } from '../kit/account.ts'
import { count } from '../kit/format.ts'
import { usePoll } from '../kit/poll.ts'
import { type AccountReading, readAccount } from './account-reading.ts'

const READ_EVERY_MS = 3_000

interface Judged extends AccountReading {
  readonly lostVerdict: Verdict
  readonly differenceVerdict: Verdict
}

function agreement(reading: Judged) {
  if (reading.differenceVerdict === 'ok') return '✓ equals acknowledged'
  const amount = `${reading.difference > 0 ? '+' : '−'}${count(Math.abs(reading.difference))}`
  return reading.differenceVerdict === 'settling'
    ? `${amount} settling`
    : `${amount} against the ledger`
}

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
          lostVerdict: verdicts.current.lost(read.lost, now),
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
      <dl class="figures">
        <Figure label="Sent" value={reading?.sent} note="by the events’ own numbers" />
        <Figure
          label="Acknowledged"
          value={reading?.accepted}
          note={
            reading &&
            `${count(reading.pending)} not yet in the lake · ${count(reading.rejected)} rejected`
          }
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
          tone={reading?.lostVerdict ?? 'plain'}
          note={
            reading && (reading.lost === 0 ? 'no number is missing' : 'numbers missing on pages')
          }
        />
      </dl>
    </section>
  )
}

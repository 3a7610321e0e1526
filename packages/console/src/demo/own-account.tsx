/** sent · acknowledged · in SQL · lost, of this visitor since this page was opened. */
import { useRef } from 'preact/hooks'
import { Figure } from '../components/figure.tsx'
import { createVerdict } from '../kit/account.ts'
import { count } from '../kit/format.ts'
import type { ShopAccount } from './shop-account.ts'

function onTheWay({ pending, rejected }: ShopAccount): string {
  if (pending > 0) return `${count(pending)} on the way`
  return rejected > 0 ? `${count(rejected)} rejected` : 'by the server'
}

export function OwnAccount({ account }: { account: ShopAccount | undefined }) {
  const verdict = useRef(createVerdict())
  const lost = account && verdict.current(account.lost, performance.now())
  const waiting = account && account.acknowledged - account.inSql
  return (
    <dl class="figures demo-figures" aria-label="Your account">
      <Figure label="Sent" value={account?.sent} note="as the page counted" />
      <Figure
        label="Acknowledged"
        value={account?.acknowledged}
        note={account && onTheWay(account)}
      />
      <Figure
        label="In SQL"
        value={account?.inSql}
        tone={waiting === 0 ? 'ok' : 'plain'}
        note={
          waiting === undefined
            ? ''
            : waiting === 0
              ? '✓ all of them'
              : `${count(waiting)} being read`
        }
      />
      <Figure
        label="Lost"
        value={lost === 'settling' ? 0 : account?.lost}
        tone={lost ?? 'plain'}
        note={
          lost === 'bad'
            ? 'sent, not found'
            : lost === 'settling'
              ? 'settling…'
              : 'also across a kill'
        }
      />
    </dl>
  )
}

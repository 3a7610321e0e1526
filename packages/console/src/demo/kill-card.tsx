/** The button that kills the server, what this page sees of its death and return, and the account after it. */
import { useRef, useState } from 'preact/hooks'
import { asProblem } from '../api/problem.ts'
import { request } from '../api/request.ts'
import { count } from '../kit/format.ts'
import type { DemoState } from './demo-state.ts'
import { isWatching, type KillState, observe } from './kill.ts'
import { KillSteps } from './kill-steps.tsx'
import type { ShopAccount } from './shop-account.ts'
import { useKillWatch } from './use-kill-watch.ts'

interface KillCardProps {
  readonly demo: DemoState | undefined
  readonly tenantId: string | undefined
  readonly account: ShopAccount | undefined
  /** When the account was read: only one read after the return says that it held. */
  readonly readAtMs: number
}

interface PledgeProps {
  readonly state: KillState
  readonly before: number | undefined
  readonly account: ShopAccount | undefined
  readonly readAtMs: number
}

function Pledge({ state, before, account, readAtMs }: PledgeProps) {
  if (state.phase === 'failed') return <p class="kill-pledge field-error">{state.reason}</p>
  if (before === undefined || state.phase === 'idle') {
    return (
      <p class="kill-pledge hint">
        The tracker in the shop keeps what was not acknowledged and sends it again. Go on moving
        while the server is dead.
      </p>
    )
  }
  const read = state.phase === 'back' && readAtMs > state.atMs ? account : undefined
  return (
    <p class="kill-pledge hint">
      {count(before)} were acknowledged before the kill.{' '}
      {read === undefined && 'After it they must all be in SQL…'}
      {read && read.inSql >= before && (
        <span class="kept">✓ All of them are in SQL, and {count(read.inSql - before)} more.</span>
      )}
      {read && read.inSql < before && `${count(before - read.inSql)} of them not found yet.`}
    </p>
  )
}

export function KillCard({ demo, tenantId, account, readAtMs }: KillCardProps) {
  const [state, setState] = useState<KillState>({ phase: 'idle' })
  const [before, setBefore] = useState<number>()
  const nowMs = useKillWatch(isWatching(state), setState)
  const pid = useRef(demo?.pid)
  pid.current = demo?.pid ?? pid.current
  const kill = (): void => {
    setBefore(account?.acknowledged)
    setState((known) =>
      observe(known, { kind: 'asked', nowMs: performance.now(), pid: pid.current }),
    )
    const options = { method: 'POST', ...(tenantId === undefined ? {} : { tenantId }) } as const
    request('/demo/kill', options).catch((error: unknown) => {
      // A server that dies before its answer is out is what was asked for.
      const problem = asProblem(error)
      if (problem.status !== 0)
        setState((known) => observe(known, { kind: 'refused', reason: problem.message }))
    })
  }
  return (
    <section class="panel kill-card" aria-label="Kill the server">
      <div class="kill-head">
        <h2>Does the account hold?</h2>
        <span class="hint">{demo === undefined ? '' : `restarts: ${count(demo.restarts)}`}</span>
      </div>
      <KillSteps state={state} nowMs={nowMs} pid={demo?.pid} />
      <Pledge state={state} before={before} account={account} readAtMs={readAtMs} />
      <button
        type="button"
        class="button button-danger"
        onClick={kill}
        disabled={isWatching(state)}
      >
        Kill the server <code>kill −9</code>
      </button>
    </section>
  )
}

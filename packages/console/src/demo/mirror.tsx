/** The right half: everything that the pipeline knows of the visitor in the left half. */
import { useState } from 'preact/hooks'
import { type ApiProblem, asProblem } from '../api/problem.ts'
import { usePoll } from '../kit/poll.ts'
import { type DemoState, readDemoState } from './demo-state.ts'
import { ownTenant, sampleTenant } from './demo-tenants.ts'
import { FlowCut } from './flow-cut.tsx'
import { FlowStrip } from './flow-strip.tsx'
import { KillCard } from './kill-card.tsx'
import { OutsideCard } from './outside-card.tsx'
import { OwnAccount } from './own-account.tsx'
import { type OwnReading, readOwn } from './own-reading.ts'
import { SampleCard } from './sample-card.tsx'
import { shopAccount } from './shop-account.ts'
import type { Box } from './trail.ts'
import { TrailPanel } from './trail-panel.tsx'
import { TypesCard } from './types-card.tsx'
import type { Shop } from './use-shop.ts'

const READ_EVERY_MS = 1_000
const STATE_EVERY_MS = 1_000

export function Mirror({ shop, viewport }: { shop: Shop; viewport: Box }) {
  const [reading, setReading] = useState<OwnReading>()
  const [problem, setProblem] = useState<ApiProblem>()
  const [demo, setDemo] = useState<DemoState>()
  const own = ownTenant.value?.tenantId
  usePoll(
    async (signal) => {
      if (own === undefined) return
      try {
        const read = await readOwn(shop, own, signal)
        if (read !== undefined) setReading(read)
        setProblem(undefined)
      } catch (error) {
        if (!signal.aborted) setProblem(asProblem(error))
      }
    },
    READ_EVERY_MS,
    [own],
  )
  usePoll(
    async () => {
      const state = await readDemoState(STATE_EVERY_MS)
      if (state !== undefined) setDemo(state)
    },
    STATE_EVERY_MS,
    [],
  )
  // While nothing can be read the page goes on counting, and that is worth seeing.
  const documents = problem === undefined ? reading?.documents : shop.documents
  const account = reading && documents && shopAccount(documents, reading.pages)
  return (
    <div class="mirror">
      <OwnAccount account={account} />
      {problem === undefined ? <FlowStrip reading={reading} /> : <FlowCut problem={problem} />}
      <div class="mirror-pair mirror-trail">
        <TrailPanel reading={reading} viewport={viewport} />
        <KillCard demo={demo} tenantId={own} account={account} readAtMs={reading?.atMs ?? 0} />
      </div>
      <div class="mirror-pair">
        <TypesCard reading={reading} visitorId={shop.last?.visitorId ?? '…'} />
        <SampleCard state={demo} tenantId={sampleTenant.value?.tenantId} />
      </div>
      <OutsideCard />
    </div>
  )
}

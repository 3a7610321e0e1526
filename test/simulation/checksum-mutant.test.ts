/** The one mutant that must be in place before the product is loaded: a log that checks nothing. */
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { history } from './history.ts'
import { playHistory } from './server-life.ts'

vi.mock('../../packages/pipeline/src/kit/checksum.ts', async (original) => ({
  ...(await original<object>()),
  crc32: () => 0,
}))

/** Histories in which it must be found; the same ones each time. */
const RUNS_MAX = 600

/** Seconds of one core when it is idle; a busy machine takes its time. */
vi.setConfig({ testTimeout: 300_000 })

test('a log whose checks always hold is found out', async () => {
  const property = fc.asyncProperty(history, async (given) => {
    await playHistory(given)
  })
  const found = await fc.check(property, { numRuns: RUNS_MAX, seed: 1, endOnFailure: true })
  expect(found.errorInstance).toMatchObject({ name: 'Violation' })
  console.log(`${found.numRuns}\tno checks\t${(found.errorInstance as Error).message}`)
})

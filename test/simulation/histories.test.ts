/**
 * Random lives of a server on a disk that loses power, from a seed that is printed when one fails.
 *
 * `MILLRACE_SIMULATION_RUNS=10000 npx vitest run test/simulation/histories.test.ts` is the long form;
 * `MILLRACE_SIMULATION_SEED` and `MILLRACE_SIMULATION_PATH` play again what a failure reports.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { history } from './history.ts'
import { playHistory } from './server-life.ts'

const { MILLRACE_SIMULATION_RUNS, MILLRACE_SIMULATION_SEED, MILLRACE_SIMULATION_PATH } = process.env
const RUNS = Number(MILLRACE_SIMULATION_RUNS ?? 200)
/** Ten times what a history takes on a slow machine. */
const MS_PER_RUN_MAX = 300

test(
  'no power loss, kill or failing call breaks a promise',
  async () => {
    const sum = { lives: 0, powerLosses: 0, kills: 0, answered: 0, delivered: 0, damaged: 0 }
    await fc.assert(
      fc.asyncProperty(history, async (given) => {
        const life = await playHistory(given)
        sum.lives++
        sum.powerLosses += life.powerLosses
        sum.kills += life.kills
        sum.answered += life.answered
        sum.delivered += life.delivered
        sum.damaged += life.damaged
      }),
      {
        numRuns: RUNS,
        ...(MILLRACE_SIMULATION_SEED && { seed: Number(MILLRACE_SIMULATION_SEED) }),
        ...(MILLRACE_SIMULATION_PATH && { path: MILLRACE_SIMULATION_PATH }),
      },
    )
    console.log(JSON.stringify(sum))
    // A simulation in which nothing happens finds nothing.
    expect(sum.powerLosses).toBeGreaterThan(sum.lives)
    expect(sum.answered).toBeGreaterThan(sum.lives)
    expect(sum.delivered).toBeGreaterThan(sum.lives / 2)
  },
  60_000 + RUNS * MS_PER_RUN_MAX,
)

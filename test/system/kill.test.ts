/**
 * Killed in the middle of everything: whatever was acknowledged is there, once and whole.
 *
 * `node bench/kill.mjs` does the same fifty times and prints what it saw.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { crashUnderLoad } from '../support/crash-load.mjs'

test('five kills under load lose nothing, double nothing, tear nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kill-'))
  const report = await crashUnderLoad({
    data: join(folder, 'data'),
    kills: 5,
    connections: 32,
    // So small that sealing, delivery and commits to the lake are met as well.
    flags: ['--segment-mib', '1', '--flush-mib', '1'],
  })
  expect(report).toMatchObject({ kills: 5, lost: 0, doubled: 0, torn: 0, invented: 0 })
  expect(report.slowestReadyMs).toBeLessThan(5_000)
  // Else it was no load, no kill was in the middle of something, and delivery never worked.
  expect(report.acknowledged).toBeGreaterThan(200)
  expect(report.retries).toBeGreaterThan(0)
  expect(report.killedInDelivery).toBeGreaterThan(0)
  rmSync(folder, { recursive: true })
})

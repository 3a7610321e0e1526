/**
 * Killed in the middle of everything: whatever was acknowledged is there, once and whole.
 *
 * `node bench/kill.mjs` does the same two hundred times and prints what it saw.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { campaignHolds, crashUnderLoad } from '../support/crash-load.mjs'

test('six kills under load lose nothing, double nothing, tear nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kill-'))
  const report = await crashUnderLoad({
    data: join(folder, 'data'),
    accountPath: join(folder, 'account.ndjson'),
    kills: 6,
    connections: 32,
    pauseMs: 40,
    // So small that sealing, delivery and commits to the lake are met as well.
    flags: ['--segment-mib', '1', '--flush-mib', '1'],
  })
  // How soon it is ready again is the campaign's to judge, on a machine of its own.
  const readyMsMax = Number.POSITIVE_INFINITY
  expect([campaignHolds(report, readyMsMax), report]).toEqual([true, report])
  // Else it was no load, and no kill was in the middle of something.
  expect(report.acknowledged).toBeGreaterThan(200)
  expect(report.retries).toBeGreaterThan(0)
  expect(report.kills.server).toBeGreaterThan(0)
  expect(report.aimed + report.kills.delivery).toBeGreaterThan(0)
  rmSync(folder, { recursive: true })
}, 180_000)

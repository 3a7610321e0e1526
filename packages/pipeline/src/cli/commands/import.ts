/** `millrace import`: a file of events through the door, with a progress bar; run it again to resume. */
import { type ConnectionFlags, connect } from '../connection.ts'
import { importFile } from '../import-file.ts'
import { progressLine } from '../progress.ts'

const MIB = 1 << 20

export async function importCommand(
  file: string,
  flags: ConnectionFlags & { source?: string; live?: boolean },
): Promise<void> {
  const connection = await connect(flags)
  // A wrong address or secret is said at once; later faults are waited out.
  await connection.token()
  const progress = progressLine(process.stderr)
  const startedMs = performance.now()
  const done = await importFile(connection, {
    file,
    historical: flags.live !== true,
    source: flags.source,
    onProgress: ({ bytes, totalBytes, accepted, duplicate }) => {
      const rate = Math.round(bytes / MIB / ((performance.now() - startedMs) / 1000))
      progress.update(
        bytes,
        totalBytes,
        `${(accepted + duplicate).toLocaleString('en')} events, ${rate} MiB/s`,
      )
    },
  })
  const seconds = (performance.now() - startedMs) / 1000
  const parts = [`${done.accepted.toLocaleString('en')} accepted`]
  if (done.duplicate > 0) parts.push(`${done.duplicate.toLocaleString('en')} were there already`)
  if (done.rejected > 0)
    parts.push(`${done.rejected.toLocaleString('en')} refused (select * from rejections)`)
  if (done.malformedCount > 0)
    parts.push(
      `${done.malformedCount.toLocaleString('en')} lines are not JSON, or over 1 MiB: ${done.malformed.join(', ')}${done.malformedCount > done.malformed.length ? ', …' : ''}`,
    )
  progress.end(`${parts.join(', ')} in ${seconds.toFixed(1)} s`)
  if (done.malformedCount > 0) process.exitCode = 1
}

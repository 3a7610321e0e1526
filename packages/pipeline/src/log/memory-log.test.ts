import { systemRandom } from '../kit/clock.ts'
import { eventLogContract } from './event-log.contract.ts'
import { openMemoryLog } from './memory-log.ts'

eventLogContract('the log in memory', async () => {
  const log = openMemoryLog({ clock: { now: () => 1 }, random: systemRandom })
  return { writer: log, reader: log }
})

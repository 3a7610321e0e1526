/**
 * Damage to the log as metrics. Both are 0 on a sound disk: above it somebody should look.
 */
import { Gauge, type Registry } from 'prom-client'
import type { DiskLog } from '../log/disk-log.ts'

export function meterDamage(registry: Registry, log: Pick<DiskLog, 'damage'>): void {
  const registers = [registry]
  new Gauge({
    name: 'millrace_log_damaged_records',
    help: 'Records of the log that are damaged or missing and cannot be served',
    registers,
    collect() {
      this.set(log.damage().recordCount)
    },
  })
  new Gauge({
    name: 'millrace_log_quarantined_segments',
    help: 'Segments of the log in which damage is known',
    registers,
    collect() {
      this.set(log.damage().segmentCount)
    },
  })
}

/** What the log holds on disk, for `/metrics`. */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { KeptSegments } from '../log/disk-log.ts'

export function retentionMetrics(registry: Registry, kept: () => KeptSegments): void {
  const registers = [registry]
  new Gauge({
    name: 'millrace_log_segments',
    help: 'Log segments kept, the open one included',
    registers,
    collect() {
      this.set(kept().segmentCount)
    },
  })
  new Gauge({
    name: 'millrace_log_bytes',
    help: 'Bytes of the log segments kept',
    registers,
    collect() {
      this.set(kept().bytes)
    },
  })
  new Counter({
    name: 'millrace_log_dropped_segments_total',
    help: 'Delivered log segments dropped, by age or for room',
    registers,
    collect() {
      this.reset()
      this.inc(kept().droppedSegmentCount)
    },
  })
}

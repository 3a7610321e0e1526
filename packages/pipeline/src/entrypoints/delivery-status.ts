/**
 * What `/ready` and `/metrics` say of delivery.
 */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { DeliveryStanding } from '../delivery/standing.ts'

/** Of an error's text: it goes to whoever may ask, and paths are nobody's business there. */
const ERROR_LENGTH_MAX = 200

export interface DeliveryLimits {
  /** Of being overdue; 0: none. */
  readonly lagMinutes: number
  /** Of what waits for the lake, all tenants; 0: none. */
  readonly pendingMib: number
}

export type TenantName = (tenantNo: number) => string

/** Why delivery is too far behind; undefined while it is not. */
export function tooFarBehind(
  standing: DeliveryStanding,
  limits: DeliveryLimits,
  tenantName: TenantName,
): string | undefined {
  const { mostOverdue, pendingBytes } = standing
  if (limits.lagMinutes > 0 && (mostOverdue?.overdueMs ?? 0) > limits.lagMinutes * 60_000) {
    const { tenantNo, overdueMs, error } = mostOverdue!
    const minutes = Math.floor(overdueMs / 60_000)
    const said = error === undefined ? '' : `; the last failure: ${withoutPaths(error)}`
    return `delivery of tenant ${tenantName(tenantNo)} is overdue by ${minutes} minutes${said}`
  }
  const pendingMib = Math.floor(pendingBytes / 1_048_576)
  if (limits.pendingMib > 0 && pendingMib >= limits.pendingMib) {
    return `${pendingMib} MiB wait for the lake, ${limits.pendingMib} are allowed`
  }
  return undefined
}

export function meterDelivery(
  registry: Registry,
  standing: () => DeliveryStanding,
  tenantName: TenantName,
): void {
  const registers = [registry]
  new Gauge({
    name: 'millrace_delivery_lag_seconds',
    help: 'Age of the oldest record that is not in the lake, of all tenants',
    registers,
    collect() {
      this.set((standing().laggards[0]?.lagMs ?? 0) / 1_000)
    },
  })
  new Gauge({
    name: 'millrace_delivery_tenant_lag_seconds',
    help: 'The same for the 20 tenants with the oldest',
    labelNames: ['tenant'],
    registers,
    collect() {
      this.reset()
      for (const { tenantNo, lagMs } of standing().laggards) {
        this.set({ tenant: tenantName(tenantNo) }, lagMs / 1_000)
      }
    },
  })
  new Gauge({
    name: 'millrace_delivery_overdue_seconds',
    help: 'How long the flush policy has wanted a job that did not go well, of all tenants',
    registers,
    collect() {
      this.set((standing().mostOverdue?.overdueMs ?? 0) / 1_000)
    },
  })
  new Gauge({
    name: 'millrace_delivery_pending_bytes',
    help: 'Bytes of the log that are not in the lake',
    registers,
    collect() {
      this.set(standing().pendingBytes)
    },
  })
  new Counter({
    name: 'millrace_delivery_failures_total',
    help: 'Delivery jobs that failed',
    registers,
    collect() {
      this.reset()
      this.inc(standing().counts.failures)
    },
  })
  new Counter({
    name: 'millrace_events_total',
    help: 'What became of accepted events, by outcome',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset()
      const { delivered, undeliverable, suppressed } = standing().counts
      this.inc({ outcome: 'delivered' }, delivered)
      this.inc({ outcome: 'undeliverable' }, undeliverable)
      this.inc({ outcome: 'suppressed' }, suppressed)
    },
  })
}

function withoutPaths(text: string): string {
  return text.replaceAll(/(?:\/[^\s/'":,]+)+/g, '…').slice(0, ERROR_LENGTH_MAX)
}

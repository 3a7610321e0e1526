/**
 * Takes up each record that a start finds: into the index in full only if it is not in the lake yet,
 * into the exact tables only if it is new, so that a start needs no more memory than a running log.
 */
import type { BatchMemory } from './batch-memory.ts'
import type { Retired } from './retired.ts'
import { RetainedSegments } from './segment-facts.ts'
import { type KeyedRecord, TenantIndex } from './tenant-index.ts'

export class RecoveredRecords {
  readonly index = new TenantIndex()
  readonly segments = new RetainedSegments()
  readonly memory: BatchMemory
  readonly #delivered: ReadonlyMap<number, number> | undefined
  readonly #newFrom: number

  /** `delivered`: by tenant, up to where the lake has it; `lastBase`: of the last segment. */
  constructor(
    memory: BatchMemory,
    retired: Retired | undefined,
    delivered: ReadonlyMap<number, number> | undefined,
    lastBase: number,
  ) {
    this.memory = memory
    this.#delivered = delivered
    this.#newFrom = lastBase - memory.exactBatches
    for (const part of retired?.tenants.values() ?? []) {
      this.index.addGone(part.tenantNo, part, part.nextOffset)
    }
  }

  /** In the order of offsets. */
  keep(record: KeyedRecord): void {
    const { key, tenantNo, segment, offset } = record
    this.segments.add(record)
    if (offset >= (this.#delivered?.get(tenantNo) ?? 0)) this.index.add(record)
    else this.index.addGone(tenantNo, { ...record, recordCount: 1 }, offset + 1)
    if (offset >= this.#newFrom) this.memory.add(key, record, segment)
    else this.memory.addOld(key, segment)
  }
}

/** Who waits until a tenant is delivered up to an offset, sooner than the flush policy would have it. */

interface Wish {
  readonly tenantNo: number
  readonly upTo: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class Wishes {
  #open: Wish[] = []

  /** Resolves once the tenant is delivered up to the offset; rejects with what it is refused for. */
  add(tenantNo: number, upTo: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#open.push({ tenantNo, upTo, resolve, reject })
    })
  }

  tenants(): Set<number> {
    return new Set(this.#open.map((wish) => wish.tenantNo))
  }

  /** `progress` of a tenant without records may be undefined, wherever it stands: it wishes for 0. */
  grant(progress: (tenantNo: number) => number | undefined): void {
    const isReached = (wish: Wish) => wish.upTo <= (progress(wish.tenantNo) ?? 0)
    for (const wish of this.#take(isReached)) wish.resolve()
  }

  /** Those of one tenant, or all. */
  refuse(error: unknown, tenantNo?: number): void {
    const isRefused = (wish: Wish) => tenantNo === undefined || wish.tenantNo === tenantNo
    for (const wish of this.#take(isRefused)) wish.reject(error)
  }

  #take(which: (wish: Wish) => boolean): Wish[] {
    const taken = this.#open.filter(which)
    this.#open = this.#open.filter((wish) => !which(wish))
    return taken
  }
}

/** What the demo server says about itself, without a login. */

export interface DemoState {
  readonly sample: {
    readonly state: 'loading' | 'ready' | 'failed'
    readonly loaded: number
    readonly total: number
  }
  readonly pid: number
  readonly restarts: number
}

/** Undefined when the server does not answer: here that is an outcome, not a fault. */
export async function readDemoState(timeoutMs: number): Promise<DemoState | undefined> {
  try {
    const signal = AbortSignal.timeout(timeoutMs)
    const response = await fetch('/demo/state', { cache: 'no-store', signal })
    return response.ok ? ((await response.json()) as DemoState) : undefined
  } catch {
    return undefined
  }
}

/** Builds both forms of the tracker into `directory` (default `dist`). */
export function buildTracker(
  directory?: string,
): Promise<{ scriptPath: string; modulePath: string; scriptBrotliBytes: number }>

/** A page and the files in `assets/` that it asks for before it shows anything. */
export interface BuiltPage {
  readonly file: string
  readonly entry: string
  readonly title: string
  readonly scripts: readonly string[]
  readonly styles: readonly string[]
}

/** Builds the console and the demo page into `outDir` (default `dist/www`). */
export function buildConsole(options?: {
  outDir?: string
}): Promise<{ readonly outDir: string; readonly pages: readonly BuiltPage[] }>

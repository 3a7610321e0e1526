import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  resolve: { alias: { '@millrace/protocol': at('packages/protocol/src/index.ts') } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts', '*.test.ts'],
    // Two cores are the smallest machine this is promised on; more workers only fight over them.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default', './scripts/closing-line.ts'],
  },
})

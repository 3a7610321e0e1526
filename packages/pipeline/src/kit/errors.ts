/**
 * The one error class for what a person must act on: a code to branch on, a message with the values
 * in it, a hint what to do, the cause kept.
 *
 * Expected outcomes are return values, broken invariants are `assert`s; this is for the rest: a folder
 * in use, a disk that is full, a format of a later version. `exitCode` is what the CLI ends with.
 */
export const ERRORS = {
  data_in_use: {
    exitCode: 3,
    hint: 'Stop the other process, or start with another --data folder.',
  },
  data_unreadable: { exitCode: 4, hint: 'Check that the folder exists and belongs to you.' },
  data_newer: {
    exitCode: 5,
    hint: 'Start with the version of millrace that wrote the folder, or a later one.',
  },
  data_damaged: { exitCode: 6, hint: 'Nothing was deleted. Run: millrace doctor --data DIR.' },
  disk_full: { exitCode: 7, hint: 'Free space; whatever was acknowledged is safe.' },
  disk_failed: {
    exitCode: 70,
    hint: 'The disk reported an error. Check it, then start again: recovery reads what is on it.',
  },
  bad_config: { exitCode: 2, hint: 'See millrace start --help.' },
  port_in_use: { exitCode: 8, hint: 'Choose another --port, or 0 for a free one.' },
  not_running: { exitCode: 9, hint: 'Start the server first: millrace start.' },
  refused: { exitCode: 1, hint: 'See the message of the server above.' },
  bad_input: { exitCode: 2, hint: 'See --help.' },
  missing_package: { exitCode: 10, hint: 'Install it beside millrace with npm.' },
} as const satisfies Record<string, { exitCode: number; hint: string }>

export type ErrorCode = keyof typeof ERRORS

export class MillraceError extends Error {
  readonly code: ErrorCode
  readonly hint: string
  override readonly name = 'MillraceError'

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint ?? ERRORS[code].hint
  }

  get exitCode(): number {
    return ERRORS[this.code].exitCode
  }
}

/** The errno code of a failed system call (`ENOSPC`, `EACCES` …), or undefined. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

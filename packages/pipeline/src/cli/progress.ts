/**
 * A progress line: rewritten in place on a terminal, one line every few seconds elsewhere.
 */
const BAR_WIDTH = 24
const PLAIN_EVERY_MS = 5_000
const TERMINAL_EVERY_MS = 100

export interface Progress {
  /** `done` and `total` in any unit; the text names them. */
  update(done: number, total: number, text: string): void
  end(text: string): void
}

export function progressLine(stream: NodeJS.WriteStream): Progress {
  let lastMs = Number.NEGATIVE_INFINITY
  const terminal = stream.isTTY === true
  return {
    update(done, total, text) {
      if (performance.now() - lastMs < (terminal ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS)) return
      lastMs = performance.now()
      const share = total === 0 ? 1 : Math.min(1, done / total)
      const filled = Math.round(share * BAR_WIDTH)
      const line = `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} ${String(Math.floor(share * 100)).padStart(3)} %  ${text}`
      stream.write(terminal ? `\r\u001b[2K${line}` : `${line}\n`)
    },
    end(text) {
      stream.write(`${terminal ? '\r\u001b[2K' : ''}${text}\n`)
    },
  }
}

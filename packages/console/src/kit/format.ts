/** Numbers and times as people read them. */
const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

export const count = (value: number): string => whole.format(value)

/** 0.42 ms · 7.4 ms · 38 ms · 1.2 s · 4 min; a dash where nothing was measured yet. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return '–'
  if (ms < 1) return `${ms.toFixed(2)} ms`
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`
  return `${(ms / 3_600_000).toFixed(1)} h`
}

const pad = (value: number, digits = 2): string => String(value).padStart(digits, '0')

/** 14:03:59.127, local time: rows of one list differ by milliseconds. */
export function clockTime(epochMs: number): string {
  const at = new Date(epochMs)
  if (Number.isNaN(at.getTime())) return '–'
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`
}

/** The engine's name of a type, as short as people say it. */
export const typeText = (type: string): string =>
  type.toLowerCase().replace('timestamp with time zone', 'timestamptz')

/** A cell of a result as text. Objects are JSON, null is the empty string (the table draws it apart). */
export function cellText(cell: unknown): string {
  if (cell === null || cell === undefined) return ''
  return typeof cell === 'object' ? JSON.stringify(cell) : String(cell)
}

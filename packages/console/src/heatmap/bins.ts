/**
 * From rows to what is drawn: how strong a cell is, how the page fits the canvas, and the palette.
 *
 * The server bins by squares of 10 CSS pixels; a page's worth of moves is then a few thousand rows,
 * whatever the traffic was.
 */

export const BIN_PX = 10

export interface Bin {
  /** Left edge and top edge in page pixels. */
  readonly x: number
  readonly y: number
  readonly count: number
}

/** The count at which a cell is fully hot: the 98th percentile, so that one busy button hides nothing. */
export function hotCount(bins: readonly Bin[]): number {
  if (bins.length === 0) return 1
  const counts = bins.map((bin) => bin.count).sort((a, b) => a - b)
  return Math.max(1, counts[Math.min(counts.length - 1, Math.floor(counts.length * 0.98))]!)
}

/** Strength 0–1 of a cell: square root, because few clicks beside many are still a finding. */
export const strength = (count: number, hot: number): number => Math.min(1, Math.sqrt(count / hot))

export interface Extent {
  readonly width: number
  readonly height: number
}

/** The page as drawn: at most as wide as there is room, the whole of its height. */
export function fit(
  page: Extent,
  roomWidth: number,
): { scale: number; width: number; height: number } {
  const scale = Math.min(1, roomWidth / page.width)
  return { scale, width: Math.round(page.width * scale), height: Math.round(page.height * scale) }
}

export type Stop = readonly [at: number, red: number, green: number, blue: number, alpha: number]

/** Cold water to hot: legible on light and dark, monotone in lightness for those who see no hue. */
const PALETTE: readonly Stop[] = [
  [0, 40, 110, 190, 0],
  [0.25, 38, 132, 214, 120],
  [0.5, 24, 178, 178, 170],
  [0.75, 245, 196, 66, 205],
  [1, 238, 80, 44, 235],
]

/** 256 colours as RGBA bytes, linear between the stops. */
export function paletteBytes(stops: readonly Stop[] = PALETTE): Uint8ClampedArray {
  const bytes = new Uint8ClampedArray(256 * 4)
  for (let step = 0; step < 256; step++) {
    const at = step / 255
    const next = Math.max(
      1,
      stops.findIndex((stop) => stop[0] >= at),
    )
    const [low, high] = [stops[next - 1]!, stops[next]!]
    const share = (at - low[0]) / (high[0] - low[0])
    for (let channel = 0; channel < 4; channel++) {
      const [from, to] = [low[channel + 1]!, high[channel + 1]!]
      bytes[step * 4 + channel] = from + (to - from) * share
    }
  }
  return bytes
}

/** Replaces each pixel by the palette's colour for its alpha. `pixels` is RGBA and is changed in place. */
export function colorize(pixels: Uint8ClampedArray, palette: Uint8ClampedArray): void {
  for (let at = 0; at < pixels.length; at += 4) {
    const step = pixels[at + 3]! * 4
    if (step === 0) continue
    for (let channel = 0; channel < 4; channel++) pixels[at + channel] = palette[step + channel]!
  }
}

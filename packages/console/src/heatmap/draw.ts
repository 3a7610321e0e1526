/** Draws the cells: soft grey stamps whose alpha adds up, then each alpha becomes a colour. */
import { sharpContext } from '../kit/size.ts'
import { BIN_PX, type Bin, colorize, hotCount, paletteBytes, strength } from './bins.ts'

/** Reach of one cell in page pixels: a fingertip. */
const STAMP_RADIUS = 26
const STAMP_RADIUS_MIN = 7

function stampOf(radius: number): HTMLCanvasElement {
  const stamp = document.createElement('canvas')
  stamp.width = radius * 2
  stamp.height = radius * 2
  const context = stamp.getContext('2d')
  if (context === null) return stamp
  const shade = context.createRadialGradient(radius, radius, 0, radius, radius, radius)
  shade.addColorStop(0, 'rgb(0 0 0 / 1)')
  shade.addColorStop(0.4, 'rgb(0 0 0 / .45)')
  shade.addColorStop(1, 'rgb(0 0 0 / 0)')
  context.fillStyle = shade
  context.fillRect(0, 0, radius * 2, radius * 2)
  return stamp
}

export function drawHeat(
  canvas: HTMLCanvasElement,
  bins: readonly Bin[],
  page: { readonly scale: number; readonly width: number; readonly height: number },
): void {
  const context = sharpContext(canvas, page.width, page.height)
  if (context === null) return
  const radius = Math.max(STAMP_RADIUS_MIN, STAMP_RADIUS * page.scale)
  const stamp = stampOf(Math.ceil(radius * 2))
  const hot = hotCount(bins)
  for (const bin of bins) {
    context.globalAlpha = Math.max(0.03, strength(bin.count, hot) * 0.75)
    const x = (bin.x + BIN_PX / 2) * page.scale
    const y = (bin.y + BIN_PX / 2) * page.scale
    context.drawImage(stamp, x - radius, y - radius, radius * 2, radius * 2)
  }
  const image = context.getImageData(0, 0, canvas.width, canvas.height)
  colorize(image.data, paletteBytes())
  context.putImageData(image, 0, 0)
}

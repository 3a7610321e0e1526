/** The palette with its two ends named. */
import { useEffect, useRef } from 'preact/hooks'
import { count } from '../kit/format.ts'
import { type Bin, hotCount, paletteBytes } from './bins.ts'

export function Legend({ bins }: { bins: readonly Bin[] }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  useEffect(() => {
    const context = canvas.current?.getContext('2d')
    const pixels = context?.createImageData(256, 1)
    if (context == null || pixels === undefined) return
    pixels.data.set(paletteBytes())
    context.putImageData(pixels, 0, 0)
  }, [])
  return (
    <div class="legend">
      <span>1</span>
      <canvas ref={canvas} width={256} height={1} />
      <span>{count(hotCount(bins))} or more per 10 × 10 px</span>
    </div>
  )
}

/** A page as a sketch: its frame, its folds, and the heat over it. */
import { useEffect, useRef } from 'preact/hooks'
import { count } from '../kit/format.ts'
import { useWidth } from '../kit/size.ts'
import { type Bin, fit } from './bins.ts'
import { drawHeat } from './draw.ts'
import type { HeatmapReading } from './reading.ts'

/** A canvas beyond this height is refused by some browsers; a longer page is cut there. */
const DRAWN_HEIGHT_MAX = 8_000

function Folds({
  every,
  height,
  pageHeight,
}: {
  every: number
  height: number
  pageHeight: number
}) {
  const folds = every > 0 ? Math.min(40, Math.floor((pageHeight - 1) / every)) : 0
  return (
    <>
      {Array.from({ length: folds }, (_, place) => (
        <div
          key={`${place}`}
          class="fold"
          style={{ top: `${((place + 1) * every * height) / pageHeight}px` }}
        >
          <span>{count((place + 1) * every)} px</span>
        </div>
      ))}
    </>
  )
}

export function PageFrame({ path, reading }: { path: string; reading: HeatmapReading }) {
  const holder = useRef<HTMLDivElement>(null)
  const canvas = useRef<HTMLCanvasElement>(null)
  const room = useWidth(holder)
  const page = fit(reading.extent, Math.max(1, room))
  const height = Math.min(page.height, DRAWN_HEIGHT_MAX)
  useEffect(() => {
    if (canvas.current === null || room === 0) return
    drawHeat(canvas.current, reading.bins as Bin[], { ...page, height })
  })
  return (
    <div class="frame-holder" ref={holder}>
      <figure class="page-frame" style={{ width: `${page.width}px` }}>
        <figcaption>
          <span class="frame-dots" aria-hidden="true" />
          <span class="frame-path">{path}</span>
          <span class="hint">
            {count(reading.extent.width)} × {count(reading.extent.height)}
          </span>
        </figcaption>
        <div class="frame-page" style={{ height: `${height}px` }}>
          <Folds every={reading.fold} height={page.height} pageHeight={reading.extent.height} />
          <canvas
            ref={canvas}
            style={{ width: `${page.width}px`, height: `${height}px` }}
            role="img"
            aria-label={`Heatmap of ${path}: ${count(reading.events)} events`}
          />
        </div>
      </figure>
    </div>
  )
}

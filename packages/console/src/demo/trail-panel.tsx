/** The visitor's own pointer, redrawn from SQL. */
import { useEffect, useRef } from 'preact/hooks'
import { count, duration } from '../kit/format.ts'
import { sharpContext, useWidth } from '../kit/size.ts'
import { theme, token } from '../kit/theme.ts'
import type { OwnReading } from './own-reading.ts'
import { type Box, drawTrail, fitBox, trailPoints } from './trail.ts'

const HEIGHT = 236

export function TrailPanel({
  reading,
  viewport,
}: {
  reading: OwnReading | undefined
  viewport: Box
}) {
  const holder = useRef<HTMLDivElement>(null)
  const canvas = useRef<HTMLCanvasElement>(null)
  const width = useWidth(holder)
  const shade = theme.value
  const box = fitBox(viewport, { width: Math.max(1, width), height: HEIGHT })
  const trail = reading?.trail
  // The theme changes what the tokens say.
  useEffect(() => {
    if (canvas.current === null || trail === undefined) return
    const context = sharpContext(canvas.current, box.width, box.height)
    const ink = { line: token('--accent'), click: token('--bad') }
    if (context !== null) drawTrail(context, trailPoints(trail, box.scale), ink)
  }, [trail, box.width, box.height, box.scale, shade])
  const rows = trail?.rows.length ?? 0
  return (
    <section class="panel trail-panel" aria-label="Your pointer, from SQL">
      <header>
        <h2>Your pointer, from SQL</h2>
        <span class="spacer" />
        <span class="hint">
          {rows === 0 ? 'last 15 s' : `${count(rows)} rows · ${duration(trail?.stats.elapsedMs)}`}
        </span>
      </header>
      <div class="trail-holder" ref={holder}>
        <canvas
          ref={canvas}
          class="trail"
          style={{ width: `${box.width}px`, height: `${box.height}px` }}
          role="img"
          aria-label={`${count(rows)} positions of your pointer in the last 15 seconds`}
        />
        {rows === 0 && <p class="trail-hint">Move the pointer over the shop</p>}
      </div>
    </section>
  )
}

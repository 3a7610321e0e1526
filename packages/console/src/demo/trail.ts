/** The trail: from rows to points on a canvas that is as the frame's viewport is, only smaller. */
import { numberOf, type QueryResult, records } from '../api/query.ts'
import { TRAIL_MS } from './demo-sql.ts'

export interface TrailPoint {
  readonly x: number
  readonly y: number
  readonly click: boolean
  /** 1 is now, 0 is gone. */
  readonly freshness: number
}

export interface Box {
  readonly width: number
  readonly height: number
}

/** The largest box of the viewport's shape that fits into the room. */
export function fitBox(viewport: Box, room: Box): Box & { scale: number } {
  if (viewport.width <= 0 || viewport.height <= 0) return { ...room, scale: 1 }
  const scale = Math.min(room.width / viewport.width, room.height / viewport.height)
  return { width: viewport.width * scale, height: viewport.height * scale, scale }
}

export function trailPoints(result: QueryResult, scale: number): readonly TrailPoint[] {
  return records(result)
    .filter((row) => row.client_x !== null && row.client_y !== null)
    .map((row) => ({
      x: numberOf(row.client_x) * scale,
      y: numberOf(row.client_y) * scale,
      click: row.event_type === 'click',
      freshness: Math.min(1, Math.max(0, 1 - numberOf(row.age_ms) / TRAIL_MS)),
    }))
}

/** Old parts are thin and pale; a ring is a click; the dot is the last known place. */
export function drawTrail(
  context: CanvasRenderingContext2D,
  points: readonly TrailPoint[],
  ink: { readonly line: string; readonly click: string },
): void {
  const moves = points.filter((point) => !point.click)
  context.lineCap = 'round'
  context.lineJoin = 'round'
  context.strokeStyle = ink.line
  for (let at = 1; at < moves.length; at++) {
    const [from, to] = [moves[at - 1]!, moves[at]!]
    context.globalAlpha = 0.12 + 0.88 * to.freshness
    context.lineWidth = 1 + 2 * to.freshness
    context.beginPath()
    context.moveTo(from.x, from.y)
    context.lineTo(to.x, to.y)
    context.stroke()
  }
  context.strokeStyle = ink.click
  context.lineWidth = 2
  for (const click of points.filter((point) => point.click)) {
    context.globalAlpha = 0.25 + 0.75 * click.freshness
    context.beginPath()
    context.arc(click.x, click.y, 5 + 7 * (1 - click.freshness), 0, Math.PI * 2)
    context.stroke()
  }
  const head = moves.at(-1)
  if (head !== undefined) {
    context.globalAlpha = 1
    context.fillStyle = ink.line
    context.beginPath()
    context.arc(head.x, head.y, 4, 0, Math.PI * 2)
    context.fill()
  }
  context.globalAlpha = 1
}

/** The content width of an element as it changes, and a canvas made sharp for the screen it is on. */
import { type MutableRef, useEffect, useState } from 'preact/hooks'

/** Above twice the CSS pixels nobody sees a difference, and the pixels cost time. */
const PIXEL_RATIO_MAX = 2

export function useWidth(element: MutableRef<HTMLElement | null>): number {
  const [width, setWidth] = useState(0)
  useEffect(() => {
    const target = element.current
    if (target === null) return
    const observer = new ResizeObserver(([entry]) => {
      setWidth(Math.floor(entry?.contentRect.width ?? 0))
    })
    observer.observe(target)
    return () => observer.disconnect()
  }, [element])
  return width
}

/** Sizes the canvas in CSS pixels and returns its context with one unit to a CSS pixel, cleared. */
export function sharpContext(canvas: HTMLCanvasElement, width: number, height: number) {
  const ratio = Math.min(globalThis.devicePixelRatio || 1, PIXEL_RATIO_MAX)
  canvas.width = Math.max(1, Math.round(width * ratio))
  canvas.height = Math.max(1, Math.round(height * ratio))
  const context = canvas.getContext('2d')
  context?.setTransform(ratio, 0, 0, ratio, 0, 0)
  return context
}

/** Left a small shop with the tracker in it, right what the pipeline makes of the visit. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { session } from '../api/session.ts'
import { Mark } from '../components/mark.tsx'
import { ThemeToggle } from '../components/theme-toggle.tsx'
import { LoginHint } from './login-hint.tsx'
import { Mirror } from './mirror.tsx'
import type { Box } from './trail.ts'
import { useShop } from './use-shop.ts'

function useBox(frame: { current: HTMLIFrameElement | null }): Box {
  const [box, setBox] = useState<Box>({ width: 0, height: 0 })
  useEffect(() => {
    const element = frame.current
    if (element === null) return
    const observer = new ResizeObserver(() => {
      setBox({ width: element.clientWidth, height: element.clientHeight })
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [frame])
  return box
}

export function DemoPage() {
  const frame = useRef<HTMLIFrameElement>(null)
  const shop = useShop(frame)
  const viewport = useBox(frame)
  return (
    <div class="demo">
      <header class="topbar">
        <a class="brand" href="/">
          <Mark />
          <span>Millrace</span>
        </a>
        <p class="demo-line">
          Browse the shop. Every movement lands in your own lake, and on the right.
        </p>
        <div class="topbar-end">
          <ThemeToggle />
          <a class="button button-small" href="/#/live">
            Open the console
          </a>
        </div>
      </header>
      <main class="panes">
        <section class="shop-pane panel" aria-label="The shop">
          <div class="shop-bar">
            <span class="frame-dots" aria-hidden="true" />
            <span class="frame-path">{shop.last?.path || '/shop/'}</span>
            <span class={`dot ${shop.last === undefined ? 'dot-off' : 'dot-ok'}`}>
              {shop.last === undefined ? 'tracker not heard yet' : 'tracked'}
            </span>
          </div>
          <iframe ref={frame} src="/shop/" title="The demo shop" />
        </section>
        <section class="mirror-pane" aria-label="What the pipeline knows">
          {session.value === null && <LoginHint />}
          {session.value && <Mirror shop={shop} viewport={viewport} />}
        </section>
      </main>
    </div>
  )
}

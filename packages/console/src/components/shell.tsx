/** What every page of the console has around it: name, tenant, pages, theme, log out, ribbon. */
import type { ComponentChildren } from 'preact'
import { logOut, tenant } from '../api/session.ts'
import { formatRoute, PAGES, type PageName } from '../kit/route.ts'
import { Mark } from './mark.tsx'
import { SyntheticRibbon } from './synthetic-ribbon.tsx'
import { TenantSwitcher } from './tenant-switcher.tsx'
import { ThemeToggle } from './theme-toggle.tsx'

const TITLES: Record<PageName, string> = {
  live: 'Live',
  sql: 'SQL',
  heatmap: 'Heatmap',
  sources: 'Sources',
}

const leave = (): void => {
  // A server that is down keeps its session until it expires; the page goes back to the form anyway.
  logOut().catch(() => location.reload())
}

export function Shell({ page, children }: { page: PageName; children: ComponentChildren }) {
  const current = tenant.value
  return (
    <div class="shell">
      <button type="button" class="skip-link" onClick={focusMain}>
        Skip to content
      </button>
      <header class="topbar">
        <a class="brand" href={formatRoute('live')}>
          <Mark />
          <span>Millrace</span>
        </a>
        <nav class="pages" aria-label="Pages">
          {PAGES.map((name) => (
            <a
              key={name}
              href={formatRoute(name)}
              aria-current={name === page ? 'page' : undefined}
            >
              {TITLES[name]}
            </a>
          ))}
        </nav>
        <div class="topbar-end">
          <TenantSwitcher />
          <ThemeToggle />
          <button type="button" class="button button-quiet" onClick={leave}>
            Log out
          </button>
        </div>
      </header>
      {current?.synthetic && <SyntheticRibbon name={current.name || current.tenantId} />}
      <main id="main" tabIndex={-1} key={current?.tenantId}>
        {children}
      </main>
    </div>
  )
}

/** A link would change the fragment, which is the router's. */
function focusMain(): void {
  document.getElementById('main')?.focus()
}

/** The console at `/`: logs in, then shows the page that the address names. */
import './styles/tokens.css'
import './styles/base.css'
import './styles/shell.css'
import './styles/pages.css'
import { signal } from '@preact/signals'
import { render } from 'preact'
import { session } from './api/session.ts'
import { Shell } from './components/shell.tsx'
import { HeatmapPage } from './heatmap/heatmap-page.tsx'
import { type PageName, parseRoute } from './kit/route.ts'
import { startTheme } from './kit/theme.ts'
import { LivePage } from './live/live-page.tsx'
import { startLogin } from './login/link-login.ts'
import { LoginPage } from './login/login-page.tsx'
import { SourcesPage } from './sources/sources-page.tsx'
import { SqlPage } from './sql/sql-page.tsx'

const route = signal(parseRoute(location.hash))
addEventListener('hashchange', () => {
  route.value = parseRoute(location.hash)
})

function Page({
  name,
  parameters,
}: {
  name: PageName
  parameters: Readonly<Record<string, string>>
}) {
  if (name === 'sql') return <SqlPage shared={parameters.q} />
  if (name === 'heatmap') return <HeatmapPage />
  if (name === 'sources') return <SourcesPage />
  return <LivePage />
}

function Console() {
  if (session.value === undefined) return null
  if (session.value === null) return <LoginPage />
  const { page, parameters } = route.value
  return (
    <Shell page={page}>
      <Page name={page} parameters={parameters} />
    </Shell>
  )
}

startTheme()
render(<Console />, document.getElementById('root')!)
startLogin()

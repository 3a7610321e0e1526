/** The demo page at `/demo`: logs in by the printed link, then shows shop and mirror. */
import './styles/tokens.css'
import './styles/base.css'
import './styles/shell.css'
import './styles/demo.css'
import { render } from 'preact'
import { DemoPage } from './demo/demo-page.tsx'
import { startTheme } from './kit/theme.ts'
import { startLogin } from './login/link-login.ts'

startTheme()
render(<DemoPage />, document.getElementById('root')!)
startLogin()

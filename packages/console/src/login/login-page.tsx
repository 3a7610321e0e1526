/** The page for who is not logged in; a one-time link in the address is tried before it is shown. */
import { Mark } from '../components/mark.tsx'
import { ThemeToggle } from '../components/theme-toggle.tsx'
import { LoginForm } from './login-form.tsx'

export function LoginPage() {
  return (
    <main class="login-page">
      <div class="login-card">
        <header>
          <Mark size={36} />
          <h1>Millrace</h1>
          <p>The full pointer stream of your site, in your own lake.</p>
        </header>
        <LoginForm />
      </div>
      <ThemeToggle />
    </main>
  )
}

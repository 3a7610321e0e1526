/** What stands in place of the account until somebody is logged in. */
import { LoginForm } from '../login/login-form.tsx'

export function LoginHint() {
  return (
    <div class="login-hint">
      <h1>See your own events in SQL</h1>
      <p class="hint">
        Open the link that <code>millrace demo</code> printed, it logs you in once. Or log in here.
      </p>
      <LoginForm />
    </div>
  )
}

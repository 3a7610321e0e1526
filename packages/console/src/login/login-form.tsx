/** Client id and secret, and what to say when a one-time link did not work. */
import { useState } from 'preact/hooks'
import { type ApiProblem, asProblem } from '../api/problem.ts'
import { logIn } from '../api/session.ts'
import { Notice, ProblemNotice } from '../components/notice.tsx'
import { linkRefused, openingProblem } from './link-login.ts'

function Explanation({ problem }: { problem: ApiProblem | undefined }) {
  if (problem?.status === 401) {
    return (
      <Notice tone="bad">
        <p class="problem-detail">This client id and secret do not match.</p>
        <p class="problem-hint">Both are in credentials.json, in the server’s data folder.</p>
      </Notice>
    )
  }
  if (problem !== undefined) return <ProblemNotice error={problem} />
  if (!linkRefused.value) return null
  return (
    <Notice tone="warn">
      <p class="problem-detail">This login link has been used or has expired. Each works once.</p>
      <p class="problem-hint">
        Log in with the client id and secret from credentials.json instead.
      </p>
    </Notice>
  )
}

export function LoginForm() {
  const [clientId, setClientId] = useState('')
  const [clientSecret, setClientSecret] = useState('')
  const [problem, setProblem] = useState<ApiProblem>()
  const [busy, setBusy] = useState(false)
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    setBusy(true)
    try {
      await logIn({ clientId: clientId.trim(), clientSecret: clientSecret.trim() })
    } catch (error) {
      setProblem(asProblem(error))
    }
    setBusy(false)
  }
  return (
    <form class="login-form" onSubmit={(event) => void submit(event)}>
      <Explanation problem={problem ?? openingProblem.value} />
      <label>
        <span>Client id</span>
        <input
          value={clientId}
          onInput={(event) => setClientId(event.currentTarget.value)}
          autocomplete="username"
          spellcheck={false}
          required
        />
      </label>
      <label>
        <span>Client secret</span>
        <input
          type="password"
          value={clientSecret}
          onInput={(event) => setClientSecret(event.currentTarget.value)}
          autocomplete="current-password"
          required
        />
      </label>
      <button type="submit" class="button button-primary" disabled={busy}>
        {busy ? 'Logging in…' : 'Log in'}
      </button>
      <p class="hint">
        A first start writes both to <code>DIR/credentials.json</code>, where DIR is the server’s
        data folder.
      </p>
    </form>
  )
}

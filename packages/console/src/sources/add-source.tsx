/** The form that adds a source; the server says what a name may be. */
import { useState } from 'preact/hooks'
import { addSource } from '../api/sources.ts'
import { ProblemNotice } from '../components/notice.tsx'

export function AddSource({ added }: { added: () => void }) {
  const [name, setName] = useState('')
  const [error, setError] = useState<unknown>()
  const add = (event: Event): void => {
    event.preventDefault()
    addSource(name.trim(), []).then(() => {
      setName('')
      setError(undefined)
      added()
    }, setError)
  }
  return (
    <form class="add-source" onSubmit={add}>
      <label>
        <span class="visually-hidden">Name of the new source</span>
        <input
          value={name}
          placeholder="name, e.g. shop"
          onInput={(event) => setName(event.currentTarget.value)}
          spellcheck={false}
          required
        />
      </label>
      <button type="submit" class="button button-primary">
        Add source
      </button>
      {error !== undefined && <ProblemNotice error={error} />}
    </form>
  )
}

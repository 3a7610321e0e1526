/** One source: its key, the tag to copy, who may send. */
import { useState } from 'preact/hooks'
import { type Source, setOrigins } from '../api/sources.ts'
import { CopyBlock, CopyButton } from '../components/copy-block.tsx'
import { ProblemNotice } from '../components/notice.tsx'
import { parseOrigins } from './origins.ts'
import { browserSnippet } from './snippets.ts'

function OriginsForm({ source, done }: { source: Source; done: () => void }) {
  const [text, setText] = useState((source.origins ?? []).join('\n'))
  const [error, setError] = useState<unknown>()
  const parsed = parseOrigins(text)
  const save = (event: Event): void => {
    event.preventDefault()
    if ('ok' in parsed) setOrigins(source.name, parsed.ok).then(done, setError)
  }
  return (
    <form class="origins-form" onSubmit={save}>
      <label>
        <span>Origins that may send, one a line; none: every site may</span>
        <textarea
          rows={3}
          value={text}
          placeholder="https://shop.example"
          spellcheck={false}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      {'wrong' in parsed && (
        <p class="field-error" role="alert">
          “{parsed.wrong}” is not an origin: write scheme and host, like https://shop.example
        </p>
      )}
      {error !== undefined && <ProblemNotice error={error} />}
      <div class="row">
        <button
          type="submit"
          class="button button-primary button-small"
          disabled={'wrong' in parsed}
        >
          Save
        </button>
        <button type="button" class="button button-small" onClick={done}>
          Cancel
        </button>
      </div>
    </form>
  )
}

export function SourceCard({ source, changed }: { source: Source; changed: () => void }) {
  const [editing, setEditing] = useState(false)
  const origins = source.origins ?? []
  const done = (): void => {
    setEditing(false)
    changed()
  }
  return (
    <article class="panel source-card">
      <header>
        <h2>{source.name}</h2>
        <span class="spacer" />
        <span class="hint">since {new Date(source.createdMs).toLocaleDateString('en-GB')}</span>
      </header>
      <dl class="facts">
        <dt>Write key</dt>
        <dd>
          <code>{source.writeKey}</code> <CopyButton text={source.writeKey} />
        </dd>
        <dt>Origins</dt>
        <dd>
          {origins.length === 0 ? <span class="hint">every site may send</span> : null}
          {origins.map((origin) => (
            <code key={origin} class="chip">
              {origin}
            </code>
          ))}{' '}
          {!editing && (
            <button type="button" class="button button-small" onClick={() => setEditing(true)}>
              Edit
            </button>
          )}
        </dd>
      </dl>
      {editing && <OriginsForm source={source} done={done} />}
      <h3>In the browser</h3>
      <CopyBlock text={browserSnippet(location.origin, source.writeKey)} />
    </article>
  )
}

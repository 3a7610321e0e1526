/** Where events come from: a key for each site, and how to send from a server. */
import { useCallback, useEffect, useState } from 'preact/hooks'
import { listSources, type Source } from '../api/sources.ts'
import { CopyBlock } from '../components/copy-block.tsx'
import { ProblemNotice } from '../components/notice.tsx'
import { AddSource } from './add-source.tsx'
import { serverSnippet } from './snippets.ts'
import { SourceCard } from './source-card.tsx'

export function SourcesPage() {
  const [sources, setSources] = useState<readonly Source[]>()
  const [error, setError] = useState<unknown>()
  const load = useCallback(() => {
    listSources().then((items) => {
      setSources(items)
      setError(undefined)
    }, setError)
  }, [])
  useEffect(load, [load])
  return (
    <div class="page sources-page">
      <div class="page-head">
        <div>
          <h1>Sources</h1>
          <p class="hint">
            A write key is public: it may only send, and only from the origins you list.
          </p>
        </div>
        <AddSource added={load} />
      </div>
      {error !== undefined && <ProblemNotice error={error} />}
      {sources?.length === 0 && (
        <div class="empty">
          <p>No source yet. Add one to get a write key.</p>
        </div>
      )}
      {sources?.map((source) => (
        <SourceCard key={source.name} source={source} changed={load} />
      ))}
      <article class="panel source-card">
        <header>
          <h2>From a server</h2>
        </header>
        <p class="hint">
          With a client’s id and secret (scope <code>events:write</code>). Send the same body with
          the same <code>Idempotency-Key</code> again and nothing is counted twice.
        </p>
        <CopyBlock text={serverSnippet(location.origin)} />
      </article>
    </div>
  )
}

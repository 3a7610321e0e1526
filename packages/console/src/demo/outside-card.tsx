/** How anyone reads the same rows from outside: a request, or the command line. */
import { useState } from 'preact/hooks'
import { CopyBlock } from '../components/copy-block.tsx'
import { querySnippet } from '../sources/snippets.ts'

const SQL = 'select event_type, count(*) from events group by 1'

const SNIPPETS = {
  CLI: () => `npx millrace sql "${SQL}"`,
  curl: () => querySnippet(location.origin, SQL),
}

type Way = keyof typeof SNIPPETS

export function OutsideCard() {
  const [way, setWay] = useState<Way>('curl')
  return (
    <article class="panel outside-card">
      <header>
        <h2>From outside</h2>
        <fieldset class="segmented">
          <legend class="visually-hidden">Way to ask</legend>
          {(Object.keys(SNIPPETS) as Way[]).map((each) => (
            <button
              key={each}
              type="button"
              aria-pressed={way === each}
              onClick={() => setWay(each)}
            >
              {each}
            </button>
          ))}
        </fieldset>
        <span class="spacer" />
        <span class="hint">id and secret: credentials.json</span>
      </header>
      <CopyBlock text={SNIPPETS[way]()} />
    </article>
  )
}

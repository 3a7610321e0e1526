/** The tables and their columns, as the server describes them. A click writes the name. */
import { useEffect, useState } from 'preact/hooks'
import { type Column, runQuery } from '../api/query.ts'
import { tenant } from '../api/session.ts'
import { typeText } from '../kit/format.ts'

const TABLES = ['events', 'rejections', 'identities', 'people'] as const

function Table({ name, insert }: { name: string; insert: (text: string) => void }) {
  const [columns, setColumns] = useState<readonly Column[]>()
  const [failed, setFailed] = useState(false)
  const tenantId = tenant.value?.tenantId
  // Each tenant is asked anew.
  useEffect(() => {
    runQuery(`select * from ${name} limit 0`).then(
      (result) => setColumns(result.columns),
      () => setFailed(true),
    )
  }, [name, tenantId])
  return (
    <details open={name === 'events'}>
      <summary>{name}</summary>
      {failed && <p class="hint">not available</p>}
      <ul>
        {columns?.map((column) => (
          <li key={column.name}>
            <button
              type="button"
              onClick={() => insert(column.name)}
              title={`Write ${column.name}`}
            >
              <span>{column.name}</span>
              <small>{typeText(column.type)}</small>
            </button>
          </li>
        ))}
      </ul>
    </details>
  )
}

export function TableBrowser({ insert }: { insert: (text: string) => void }) {
  return (
    <aside class="panel table-browser" aria-label="Tables">
      <header>
        <h2>Tables</h2>
      </header>
      {TABLES.map((name) => (
        <Table key={name} name={name} insert={insert} />
      ))}
    </aside>
  )
}

/** The statement: a plain text area that knows Tab and Ctrl/Cmd+Enter. Escape, then Tab, leaves it. */
import { useRef } from 'preact/hooks'
import { indent, outdent } from './tab-key.ts'

interface EditorProps {
  readonly sql: string
  readonly change: (sql: string) => void
  readonly run: () => void
}

export function Editor({ sql, change, run }: EditorProps) {
  // A trap for keyboards is no editor: after Escape the next Tab moves on.
  const leaving = useRef(false)
  const onKeyDown = (event: KeyboardEvent & { currentTarget: HTMLTextAreaElement }): void => {
    const area = event.currentTarget
    if (event.key === 'Escape') leaving.current = true
    else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault()
      run()
    } else if (event.key === 'Tab' && !leaving.current) {
      event.preventDefault()
      const edit = { text: area.value, start: area.selectionStart, end: area.selectionEnd }
      const edited = event.shiftKey ? outdent(edit) : indent(edit)
      area.value = edited.text
      area.setSelectionRange(edited.start, edited.end)
      change(edited.text)
    } else if (event.key !== 'Shift') leaving.current = false
  }
  return (
    <textarea
      class="editor"
      aria-label="SQL statement. Escape, then Tab, leaves the editor."
      value={sql}
      spellcheck={false}
      autocapitalize="off"
      autocomplete="off"
      rows={Math.min(18, Math.max(8, sql.split('\n').length + 1))}
      onInput={(event) => change(event.currentTarget.value)}
      onKeyDown={onKeyDown}
      onBlur={() => {
        leaving.current = false
      }}
    />
  )
}

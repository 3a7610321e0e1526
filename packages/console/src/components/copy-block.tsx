/** A text to take elsewhere, with a button that copies it. */
import { useRef, useState } from 'preact/hooks'

/** How long the button says that it worked. */
const COPIED_MS = 1_600

export function CopyButton({ text, label = 'Copy' }: { text: string; label?: string }) {
  const [said, setSaid] = useState('')
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  const copy = (): void => {
    const say = (word: string) => () => {
      setSaid(word)
      clearTimeout(timer.current)
      timer.current = setTimeout(() => setSaid(''), COPIED_MS)
    }
    // Without https or localhost there is no clipboard for pages: then say what to do.
    if (navigator.clipboard === undefined) say('Select and copy')()
    else navigator.clipboard.writeText(text).then(say('Copied'), say('Select and copy'))
  }
  return (
    <button type="button" class="button button-small" onClick={copy} aria-live="polite">
      {said || label}
    </button>
  )
}

export function CopyBlock({ text, label }: { text: string; label?: string }) {
  return (
    <div class="copy-block">
      <pre>
        <code>{text}</code>
      </pre>
      {label === undefined ? <CopyButton text={text} /> : <CopyButton text={text} label={label} />}
    </div>
  )
}

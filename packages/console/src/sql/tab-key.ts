/** What the Tab key does to the text of the editor: two blanks in, or out, on every selected line. */
export interface Edit {
  readonly text: string
  readonly start: number
  readonly end: number
}

const INDENT = '  '

export function indent({ text, start, end }: Edit): Edit {
  if (start === end) {
    return { text: text.slice(0, start) + INDENT + text.slice(end), start: start + 2, end: end + 2 }
  }
  return eachLine({ text, start, end }, (line) => INDENT + line)
}

export const outdent = (edit: Edit): Edit => eachLine(edit, (line) => line.replace(/^ {1,2}/, ''))

function eachLine({ text, start, end }: Edit, change: (line: string) => string): Edit {
  const from = text.lastIndexOf('\n', start - 1) + 1
  const lines = text.slice(from, end).split('\n')
  const changed = lines.map(change)
  const first = changed[0]!.length - lines[0]!.length
  const body = changed.join('\n')
  return {
    text: text.slice(0, from) + body + text.slice(end),
    start: Math.max(from, start + first),
    end: Math.max(from, end + body.length - (end - from)),
  }
}

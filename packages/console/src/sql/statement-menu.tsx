/** A menu that writes a statement into the editor. */
interface StatementMenuProps {
  readonly label: string
  readonly items: readonly { readonly name: string; readonly sql: string }[]
  readonly choose: (sql: string) => void
}

export function StatementMenu({ label, items, choose }: StatementMenuProps) {
  return (
    <select
      aria-label={label}
      value=""
      disabled={items.length === 0}
      onChange={(event) => {
        const chosen = items[Number(event.currentTarget.value)]
        event.currentTarget.value = ''
        if (chosen !== undefined) choose(chosen.sql)
      }}
    >
      <option value="">{label}</option>
      {items.map((item, place) => (
        <option key={item.sql} value={place}>
          {item.name}
        </option>
      ))}
    </select>
  )
}

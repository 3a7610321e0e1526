/** The button between light and dark; what is chosen is remembered by kit/theme.ts. */
import { theme, toggleTheme } from '../kit/theme.ts'

export function ThemeToggle() {
  const other = theme.value === 'dark' ? 'light' : 'dark'
  return (
    <button type="button" class="icon-button" onClick={toggleTheme} title={`Switch to ${other}`}>
      <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
        <circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" stroke-width="1.5" />
        <path d="M8 1.8a6.2 6.2 0 0 1 0 12.4z" fill="currentColor" />
      </svg>
      <span class="visually-hidden">{`Switch to ${other}`}</span>
    </button>
  )
}

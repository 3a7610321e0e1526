/** Light or dark: the system's choice until the person makes one. CSS reads `data-theme` on the root. */
import { signal } from '@preact/signals'
import { readStored, writeStored } from './storage.ts'

export type Theme = 'light' | 'dark'

const dark = globalThis.matchMedia?.('(prefers-color-scheme: dark)')
const systemTheme = (): Theme => (dark?.matches ? 'dark' : 'light')

const stored = readStored('theme')
let chosen: Theme | undefined = stored === 'light' || stored === 'dark' ? stored : undefined

export const theme = signal<Theme>(chosen ?? systemTheme())

const show = (): void => {
  document.documentElement.dataset.theme = theme.value
}

export function startTheme(): void {
  show()
  dark?.addEventListener('change', () => {
    if (chosen === undefined) theme.value = systemTheme()
    show()
  })
}

export function toggleTheme(): void {
  chosen = theme.value === 'dark' ? 'light' : 'dark'
  theme.value = chosen
  writeStored('theme', chosen)
  show()
}

/** A token's value, for what is drawn on a canvas. */
export const token = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim()

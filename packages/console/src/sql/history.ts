/** The last statements that ran, newest first, each once; kept in the browser. */
import { readStored, writeStored } from '../kit/storage.ts'

export const HISTORY_MAX = 30

export function withStatement(history: readonly string[], sql: string): readonly string[] {
  return [sql, ...history.filter((each) => each !== sql)].slice(0, HISTORY_MAX)
}

export function readHistory(): readonly string[] {
  try {
    const stored: unknown = JSON.parse(readStored('history') ?? '[]')
    return Array.isArray(stored) ? stored.filter((each) => typeof each === 'string') : []
  } catch {
    return []
  }
}

export const keepHistory = (history: readonly string[]): void =>
  writeStored('history', JSON.stringify(history))

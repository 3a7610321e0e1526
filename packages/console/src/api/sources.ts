/** Sources: where a tenant's events may come from, each with its public write key. */
import { request } from './request.ts'

export interface Source {
  readonly name: string
  readonly writeKey: string
  readonly origins: readonly string[] | null
  readonly createdMs: number
}

export async function listSources(): Promise<readonly Source[]> {
  return (await request<{ items: readonly Source[] }>('/v1/sources')).items
}

export const addSource = (name: string, origins: readonly string[]): Promise<Source> =>
  request<Source>('/v1/sources', {
    method: 'POST',
    body: origins.length > 0 ? { name, origins } : { name },
  })

export const setOrigins = (name: string, origins: readonly string[]): Promise<Source> =>
  request<Source>(`/v1/sources/${encodeURIComponent(name)}`, { method: 'PUT', body: { origins } })

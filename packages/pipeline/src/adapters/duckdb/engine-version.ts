/** Which DuckDB this is: answers only if its native binding loads on this machine. */
import { version } from '@duckdb/node-api'

export async function engineVersion(): Promise<string> {
  return version()
}

/** The program of a query process; started by adapters/duckdb/query-engine.ts, never by hand. */
import { serveQueries } from '../adapters/duckdb/query-serve.ts'

serveQueries(process)

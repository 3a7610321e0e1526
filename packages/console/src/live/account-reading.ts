/** Reads the account of the chosen tenant: the ledger, then the rows, then the ledger again. */
import { type Ledger, readLedger } from '../api/ledger.ts'
import { numberOf, records, runQuery } from '../api/query.ts'
import { type Account, accountOf, rowsOf, unaccounted } from '../kit/account.ts'

const ACCOUNT_SQL = `select
  (select coalesce(sum(sent), 0) from (
     select max(seq) + 1 as sent from events
     where page_id is not null and seq is not null group by page_id)) as numbered,
  (select count(*) from events where page_id is null or seq is null) as unnumbered,
  (select count(*) from events) as in_sql,
  (select count(*) from rejections where raw like '%"seq":%') as rejected_numbered`

export interface AccountReading extends Account {
  readonly ledger: Ledger
  /** See `unaccounted`. */
  readonly unaccounted: number
  readonly inSql: number
}

export async function readAccount(signal: AbortSignal): Promise<AccountReading> {
  const before = await readLedger({ signal })
  const [row = {}] = records(await runQuery(ACCOUNT_SQL, { signal }))
  const after = await readLedger({ signal })
  const counts = {
    numbered: numberOf(row.numbered),
    unnumbered: numberOf(row.unnumbered),
    inSql: numberOf(row.in_sql),
    rejectedNumbered: numberOf(row.rejected_numbered),
  }
  return {
    ...accountOf(counts, rowsOf(before), rowsOf(after)),
    ledger: after,
    unaccounted: unaccounted(after),
    inSql: counts.inSql,
  }
}

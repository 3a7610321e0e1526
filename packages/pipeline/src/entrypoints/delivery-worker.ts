/**
 * The program of the delivery process; started by delivery/child-worker.ts, never by hand.
 *
 * Arguments: the data folder, the bucket. Jobs come as messages, one at a time; it ends when the
 * channel closes, which it does when the parent is gone, however it went. An unfinished job is then
 * one that did not happen.
 */
import { openParquetWriter } from '../adapters/duckdb/parquet-writer.ts'
import { serveDelivery } from '../delivery/child-worker.ts'
import { deliveryParts } from './delivery-parts.ts'

const [dataFolder, bucket] = process.argv.slice(2)
if (dataFolder === undefined || bucket === undefined || process.send === undefined) {
  process.stderr.write('delivery-worker is started by millrace\n')
  process.exit(2)
}
const parts = deliveryParts(dataFolder, bucket, await openParquetWriter())
await parts.spool.clear()
serveDelivery(process, parts)

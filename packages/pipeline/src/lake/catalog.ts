/**
 * The catalog says which metadata file is a table's newest: the one pointer that is ever swapped.
 *
 * Namespaces are tenants, one table of each kind in each. A commit is a compare-and-set of the
 * metadata; who loses reads again and decides anew.
 */
import type { TableMetadata } from './iceberg/metadata.ts'

export interface TableIdentifier {
  readonly namespace: string
  readonly name: string
}

export interface LoadedTable {
  readonly metadata: TableMetadata
  readonly metadataLocation: string
}

export interface Catalog {
  /** Namespaces in ascending order. */
  namespaces(): Promise<readonly string[]>
  /** Table names of a namespace in ascending order; empty when there is none. */
  tables(namespace: string): Promise<readonly string[]>
  /** Undefined when there is no such table. */
  load(table: TableIdentifier): Promise<LoadedTable | undefined>
  /**
   * Makes `next` the table's metadata if `previousLocation` still is its newest (undefined: if the
   * table does not exist yet). Atomic and durable. 'conflict' changes nothing.
   */
  commit(
    table: TableIdentifier,
    previousLocation: string | undefined,
    next: TableMetadata,
  ): Promise<LoadedTable | 'conflict'>
}

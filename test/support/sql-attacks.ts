/**
 * What people have tried against SQL sandboxes, as statements: the attack list of the gate's tests.
 *
 * `$S` is a secret file, `$G` another tenant's Parquet, `$A` the tenant's own folder, `$R` the folder of
 * all, `$W` a folder to write into, `$P` a listening port. One statement on a line.
 */

export const FILE_READS = `
SELECT * FROM read_text('$S')
SELECT * FROM read_blob('$S')
SELECT * FROM read_csv('$S', header=false)
SELECT * FROM read_csv_auto('/etc/passwd', sep='|')
SELECT * FROM read_json('$S')
SELECT * FROM read_json_auto('$S')
SELECT * FROM read_json_objects('$S')
SELECT * FROM read_ndjson('$S')
SELECT * FROM read_ndjson_objects('$S')
SELECT * FROM sniff_csv('$S')
SELECT * FROM '/etc/passwd'
SELECT * FROM '$S'
FROM '$G'
SELECT * FROM "$G"
SELECT * FROM read_parquet('$G')
SELECT * FROM parquet_scan('$G')
SELECT * FROM parquet_metadata('$G')
SELECT * FROM parquet_schema('$G')
SELECT * FROM parquet_file_metadata('$G')
SELECT * FROM parquet_kv_metadata('$G')
SELECT * FROM parquet_full_metadata('$G')
SELECT * FROM parquet_bloom_probe('$G', 'source', 'x')
SELECT * FROM read_parquet('$A/../globex/p0.parquet')
SELECT * FROM read_parquet('$R/acme2/p0.parquet')
SELECT * FROM read_parquet('$A/link.parquet')
SELECT * FROM read_parquet('$A/**/*.parquet')
SELECT * FROM read_parquet('$R/*/*.parquet', hive_partitioning=true)
SELECT * FROM read_parquet('file://$G')
SELECT * FROM read_parquet(['$A/p0.parquet', '$G'])
SELECT * FROM read_duckdb('$R/other.db')
SELECT * FROM glob('/*')
SELECT * FROM glob('$A/*')
SELECT * FROM read_csv('~/.bashrc')
SELECT * FROM read_text('/proc/self/environ')
SELECT * FROM read_text('/proc/self/cmdline')
SELECT * FROM read_csv('/dev/stdin')
SELECT * FROM events, '$G' g
SELECT * FROM events WHERE visitor_id IN (FROM '$G' SELECT visitor_id)
SELECT (SELECT count(*) FROM '$G')
WITH x AS (FROM '$G') SELECT * FROM x
SELECT * FROM events JOIN LATERAL (FROM '$G') ON true
SELECT list(x) FROM (SELECT unnest([1]) x UNION ALL SELECT 1 FROM '$S')
DESCRIBE SELECT * FROM read_csv('$S')
DESCRIBE '$G'
SUMMARIZE '$G'
PIVOT '$G' ON event_type IN ('a') USING count(*)
SELECT * FROM query('SELECT * FROM read_text(''$S'')')
SELECT * FROM query_table('$G')
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''$S'')'))
`

export const NETWORK = `
SELECT * FROM read_parquet('http://127.0.0.1:$P/x.parquet')
SELECT * FROM read_parquet('s3://bucket/x.parquet')
SELECT * FROM read_csv('http://127.0.0.1:$P/latest/meta-data/')
SELECT * FROM 'http://127.0.0.1:$P/x.csv'
ATTACH 'postgres:host=127.0.0.1 port=$P' AS pg (TYPE postgres)
SELECT * FROM postgres_scan('host=127.0.0.1 port=$P', 'public', 't')
INSTALL json FROM 'http://127.0.0.1:$P'
`

export const WRITES = `
COPY (SELECT 'x') TO '$W/pwn.csv'
COPY (SELECT 'x' AS a) TO '$W/evil.parquet' (FORMAT parquet)
COPY (SELECT 1 AS a, 'x' AS tenant) TO '$W/' (FORMAT parquet, PARTITION_BY (tenant), OVERWRITE_OR_IGNORE)
COPY (SELECT 'x' AS a) TO '$A/evil.parquet' (FORMAT parquet)
EXPLAIN ANALYZE COPY (SELECT 1) TO '$W/x.csv'
EXPORT DATABASE '$W'
IMPORT DATABASE '$W'
ATTACH '$W/new.db' AS o2
ATTACH '$R/other.db' AS o (READ_ONLY)
ATTACH 'sqlite:$W/x.db' AS sq (TYPE sqlite)
INSTALL httpfs
LOAD httpfs
LOAD '$W/evil.duckdb_extension'
FORCE INSTALL spatial FROM community
SELECT * FROM iceberg_scan('$R')
SELECT * FROM delta_scan('$R')
SELECT * FROM read_xlsx('$S')
SELECT * FROM st_read('$S')
CREATE PERSISTENT SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')
`

export const SETTINGS = `
SET enable_external_access=true
RESET enable_external_access
PRAGMA enable_external_access=true
SET lock_configuration=false
RESET lock_configuration
PRAGMA lock_configuration=false
SET GLOBAL allowed_directories=['/']
SET allowed_paths=['/etc/passwd']
SET memory_limit='64GB'
SET threads=256
SET temp_directory='$W'
SET home_directory='/etc'
SET extension_directory='$W'
SET log_query_path='$W/q.log'
PRAGMA profiling_output='$W/prof2.json'
`

/** Harmless to others once the settings are closed, or only inside one instance: the gate's alone. */
export const GATE_ONLY = `
COPY (SELECT 'pwn' AS visitor_id) TO '$A/p0.parquet' (FORMAT parquet, USE_TMP_FILE false)
ATTACH '$A/p0.parquet' AS z
ATTACH ':memory:' AS mm
ATTACH '' AS mm2
CALL enable_logging()
CALL enable_logging(storage='file', storage_path='$W')
CALL enable_logging('QueryLog', storage='stdout')
SELECT write_log('x')
SELECT * FROM duckdb_logs()
PRAGMA enable_profiling='json'; SET profiling_output='$W/prof.json'; SELECT 1
SELECT * FROM duckdb_secrets()
SELECT * FROM duckdb_secrets(redact=false)
SELECT * FROM which_secret('s3://x', 's3')
SELECT name, value FROM duckdb_settings()
SELECT sql FROM duckdb_views()
SELECT * FROM duckdb_tables()
SELECT * FROM duckdb_functions()
SELECT * FROM duckdb_extensions()
SELECT * FROM duckdb_temporary_files()
SELECT * FROM duckdb_external_file_cache()
SELECT path FROM duckdb_databases()
PRAGMA database_list
PRAGMA database_size
PRAGMA show_tables
PRAGMA table_info('events')
SELECT * FROM pragma_database_size()
SELECT * FROM pragma_show('events')
SELECT * FROM pragma_table_info('events')
SELECT * FROM pragma_storage_info('events')
SHOW DATABASES
SHOW ALL TABLES
SHOW VARIABLES
SELECT * FROM information_schema.tables
SELECT * FROM pg_catalog.pg_views
SELECT * FROM sqlite_master
SELECT * FROM lake.events
SELECT * FROM memory.main.events
SELECT * FROM main.events
SELECT * FROM pg_views
SELECT current_setting('allowed_paths')
SELECT getenv('HOME')
SELECT getvariable('x')
SELECT pg_get_viewdef('events')
SELECT pg_catalog.pg_get_viewdef('events')
SELECT txid_current()
SELECT nextval('s')
SELECT in_search_path('memory', 'main')
SELECT json_serialize_plan('FROM events')
SELECT json_serialize_sql('FROM events')
SELECT sleep_ms(60000)
SELECT pg_sleep(60)
SELECT * FROM events ORDER BY pg_sleep(1)
SELECT sum(sleep_ms(1)) OVER () FROM events
SELECT count(*) FILTER (sleep_ms(1)) FROM events
SELECT [sleep_ms(1) FOR x IN [1]]
SELECT * REPLACE (sleep_ms(1) AS path) FROM events
SELECT * FROM events LIMIT (SELECT sleep_ms(1))
SELECT * FROM unnest([sleep_ms(1)])
VALUES (sleep_ms(1))
CREATE OR REPLACE VIEW events AS SELECT 'poison' AS visitor_id
DROP VIEW IF EXISTS events
CREATE MACRO count(x) AS 42
CREATE TABLE t (a INTEGER)
CREATE TEMP TABLE t AS SELECT 1
INSERT INTO events VALUES (1)
UPDATE events SET path = 'x'
DELETE FROM events
BEGIN; SELECT 1
BEGIN
CHECKPOINT
FORCE CHECKPOINT
VACUUM
USE system
DETACH memory
PREPARE x AS SELECT 1
EXECUTE x
DEALLOCATE x
EXPLAIN SELECT 1
SELECT 1; SELECT 2
SELECT 1; SELECT * FROM read_text('$S')
FROM query('SELECT 1')
FROM query_table('events')
SELECT * FROM sql_auto_complete('SELECT * FROM ''/')
SELECT * FROM arrow_scan(0, 0, 0)
SELECT * FROM pandas_scan(0)
SELECT * FROM seq_scan('events')
SELECT * FROM summary((FROM events))
SELECT * FROM test_all_types()
SELECT * FROM repeat(1, 1000000000)
PIVOT events ON event_type USING count(*)
PIVOT events ON event_type IN some_enum USING count(*)
WITH "$G" AS (SELECT 1) SELECT * FROM "$G"
SELECT * FROM (WITH q AS (SELECT 1) FROM q), q
WITH a AS (FROM b), b AS (SELECT 1) FROM a
WITH x AS (FROM x) FROM x
SET VARIABLE x = 1
UPDATE EXTENSIONS
CREATE SECRET s (TYPE http, BEARER_TOKEN 'x')
`

export function attacks(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}

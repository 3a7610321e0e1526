/**
 * The one file that knows every adapter: a Config goes in, a running pipeline comes out.
 *
 * Reads top to bottom as the data goes: the folder and its lock, tenants, log, lake, delivery, query, and
 * the doors. What is opened is closed in the opposite order, also when a later part does not open.
 */
import { rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Logger, pino } from 'pino'
import { DuckdbQueryEngine } from '../adapters/duckdb/query-engine.ts'
import { openSqliteTenantStore } from '../adapters/sqlite/sqlite-tenant-store.ts'
import type { QuotaRates } from '../collector/quota.ts'
import { forkDeliveryWorker } from '../delivery/child-worker.ts'
import { DeliveryScheduler } from '../delivery/scheduler.ts'
import { systemClock, systemRandom } from '../kit/clock.ts'
import type { MillraceError } from '../kit/errors.ts'
import { nodeFiles, replaceFile } from '../kit/files.ts'
import { RecentMedian } from '../kit/recent-median.ts'
import { FolderObjectStore, removeUnfinished } from '../lake/folder-object-store.ts'
import { LakeReader } from '../lake/lake-reader.ts'
import { ObjectStoreCatalog } from '../lake/object-store-catalog.ts'
import type { DamageReport } from '../log/damage.ts'
import { type DiskLog, openDiskLog } from '../log/disk-log.ts'
import { sqlRunner } from '../query/run-sql.ts'
import { Tails } from '../query/tail.ts'
import { createAuthorize } from '../tenants/authorize.ts'
import { firstStart } from '../tenants/first-start.ts'
import { createLinks } from '../tenants/links.ts'
import { openSigningKeys } from '../tenants/signing-keys.ts'
import { TENANT_SCOPES, type Tenant, type TenantStore } from '../tenants/tenant-store.ts'
import { createTokens } from '../tenants/tokens.ts'
import type { Config } from './config.ts'
import { connectionsThatFit } from './connections.ts'
import { type DataFolder, openDataFolder } from './data-folder.ts'
import { type Demo, openDemo } from './demo.ts'
import { composeDoors } from './doors.ts'
import { openDuplicateCounts } from './duplicate-counts.ts'
import { type HttpServer, type ListenOptions, listen } from './http-server.ts'

const PROGRAMS = {
  delivery: fileURLToPath(new URL('../../dist/entrypoints/delivery-worker.js', import.meta.url)),
  query: fileURLToPath(new URL('../../dist/entrypoints/query-worker.js', import.meta.url)),
}
const MIB = 1_048_576
/** Requests under way get five seconds before it; a stop takes ten at most. */
const DELIVERY_STOP_MS_MAX = 3_000
const HOUR_MS = 3_600_000
/** At 6,000 batches a second it takes a third off the CPU of each, and adds a millisecond to an answer. */
const GROUP_MS = 3

export interface Pipeline {
  readonly url: string
  /** A one-time secret that logs in to the console, for every tenant of this process's people. */
  loginLink(): string
  /** What the demo's supervisor says. */
  onDemoMessage(message: unknown): void
  /** Resolves if the log fences itself: nothing is taken any more until a restart reads the disk. */
  readonly fenced: Promise<MillraceError>
  /** Graceful: no new requests, what was accepted is on disk, the folder is released. Idempotent. */
  stop(): Promise<void>
}

export async function composePipeline(
  config: Config,
  { demo: isDemo }: { demo: boolean },
): Promise<Pipeline> {
  const closers: (() => Promise<unknown> | unknown)[] = []
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    return await open(config, isDemo, closers, closeAll)
  } catch (error) {
    await closeAll()
    throw error
  }
}

type Closers = (() => Promise<unknown> | unknown)[]

async function open(
  config: Config,
  isDemo: boolean,
  closers: Closers,
  stop: () => Promise<void>,
): Promise<Pipeline> {
  const logger = pino(
    { level: config.logLevel, base: null },
    pino.destination({ dest: 2, sync: true }),
  )
  const folder = await openDataFolder(config.data, config.lakeBucket, nodeFiles, systemRandom)
  closers.push(() => folder.release())
  const { makers, writeKey, tenantId, demo } = await openControlPlane(
    folder,
    isDemo,
    logger,
    closers,
  )
  const lake = await openLake(folder)
  const held: HeldBack = { flush: () => {} }
  const opening = { config, folder, store: makers.store, lake, held, logger, closers }
  const { log, fenced } = await openLog(opening)
  const delivery = openDelivery(config, folder, log, makers.store, lake, logger)
  // A failure is delivery's own to report and to try again.
  held.flush = (tenantNo) => void delivery.flush(tenantNo).catch(() => {})
  delivery.start()
  closers.push(() => delivery.stop())
  const duplicates = await openDuplicateCounts({
    path: join(folder.path, 'duplicates.json'),
    files: nodeFiles,
    onFault: (error) => logger.warn({ err: error }, 'duplicates are counted, but not kept'),
  })
  closers.push(() => duplicates.stop())
  const queryMs = new RecentMedian()
  const run = openQuery(folder, log, makers.store, lake, queryMs, closers)

  let server: HttpServer | undefined
  const issuer = () => config.publicUrl ?? server?.url ?? ''
  const warn = (text: string) => logger.warn(text)
  const keys = await openSigningKeys({
    ...makers,
    folder: join(folder.path, 'keys'),
    files: nodeFiles,
    warn,
  })
  const tokens = createTokens({ ...makers, keys, issuer })
  const authorize = createAuthorize({ ...makers, tokens })
  const links = createLinks(makers)
  const credentials = { makers, keys, tokens, authorize, links, issuer, writeKey }
  const account = { delivery, deliveryLimits: deliveryLimitsOf(config), duplicates }
  const stores = { ...credentials, ...account, log, lake, run, queryMs }
  const doors = composeDoors({ ...stores, demo, logger, rates: ratesOf(config) })
  server = await listen(doors, listenOptions(config, logger))
  const { url, close } = server
  closers.push(close)
  // A certificate names the host that clients use, not the address of this machine.
  const certified = config.tlsCert === undefined ? undefined : config.publicUrl
  await announce(folder, certified ?? url)
  closers.push(() => rm(join(folder.path, 'server.json'), { force: true }))
  logger.info({ url, data: folder.path }, 'listening')
  return {
    url,
    loginLink: () => links.mint(grantsFor(makers.store, tenantId, demo)),
    onDemoMessage: (message) => demo?.hear(message),
    fenced,
    stop,
  }
}

function deliveryLimitsOf(config: Config) {
  return { lagMinutes: config.lagLimitMinutes, pendingMib: config.pendingLimitMib }
}

function ratesOf(config: Config): QuotaRates {
  const rates = (requestsPerSecond: number, mibPerSecond: number) => ({
    requestsPerSecond,
    bytesPerSecond: mibPerSecond * MIB,
  })
  return {
    key: rates(config.keyRequestsPerSecond, config.keyMibPerSecond),
    tenant: rates(config.tenantRequestsPerSecond, config.tenantMibPerSecond),
    server: rates(config.serverRequestsPerSecond, config.serverMibPerSecond),
  }
}

function listenOptions(config: Config, logger: Logger): ListenOptions {
  const { host, port, tlsCert, tlsKey, maxConnections } = config
  const max = connectionsThatFit(maxConnections)
  if (max < maxConnections) {
    logger.warn({ maxConnections, max }, 'fewer connections: the process may have too few files')
  }
  return {
    host,
    port,
    limits: {
      max,
      maxPerAddress: config.maxConnectionsPerAddress,
      trusted: config.trustedProxies,
    },
    certificate:
      tlsCert === undefined || tlsKey === undefined ? undefined : { cert: tlsCert, key: tlsKey },
    warn: (error) => logger.warn({ err: error }, 'the server works, but'),
  }
}

async function openControlPlane(
  folder: DataFolder,
  isDemo: boolean,
  logger: Logger,
  closers: Closers,
) {
  const store = openSqliteTenantStore(join(folder.path, 'control.db'))
  closers.push(() => store.close())
  const makers = { store, clock: systemClock, random: systemRandom }
  const place = { ...makers, folder: folder.path, files: nodeFiles }
  const { credentials, outcome } = await firstStart(place)
  if (outcome === 'reissued') {
    logger.warn('credentials.json did not fit the control plane; a new client was made')
  }
  const demo = isDemo ? await openDemo(place) : undefined
  return { makers, demo, writeKey: credentials.writeKey, tenantId: credentials.tenantId }
}

/** Whom the log asks for a tenant's delivery: there is nobody yet when it opens. */
interface HeldBack {
  flush: (tenantNo: number) => void
}

interface LogParts {
  readonly config: Config
  readonly folder: DataFolder
  readonly store: TenantStore
  readonly lake: LakeReader
  readonly held: HeldBack
  readonly logger: Logger
  readonly closers: Closers
}

async function openLog({
  config,
  folder,
  store,
  lake,
  held,
  logger,
  closers,
}: LogParts): Promise<{ log: DiskLog; fenced: Promise<MillraceError> }> {
  let fence: (error: MillraceError) => void = () => {}
  const fenced = new Promise<MillraceError>((resolve) => {
    fence = resolve
  })
  const onDamage = (report: DamageReport) =>
    logger.error(
      { damage: report, err: report.fault },
      'the log is damaged; the rest of it is served',
    )
  const log = await openDiskLog({
    folder: join(folder.path, 'log'),
    files: nodeFiles,
    clock: systemClock,
    random: systemRandom,
    segmentBytesMax: config.segmentMib * MIB,
    groupMs: GROUP_MS,
    diskReserveBytes: config.diskReserveMib * MIB,
    keepMs: config.logKeepHours * HOUR_MS,
    pressureBytes: await pressureBytes(folder),
    delivered: (logId) => deliveredOffsets(store, lake, logId),
    onHeldBack: (tenants) => {
      for (const tenantNo of tenants) held.flush(tenantNo)
    },
    onFault: (error) => logger.warn({ err: error }, 'the log works, but'),
    onDamage,
    onFence: (error) => {
      logger.error({ err: error }, 'the log stopped')
      fence(error)
    },
  })
  closers.push(() => log.close())
  logger.info({ recovered: log.recovered }, 'log open')
  for (const report of log.recovered.damaged) onDamage(report)
  return { log, fenced }
}

/** Delivered segments go early below 2 GiB of free space, or a tenth of a small disk. */
async function pressureBytes({ path }: DataFolder): Promise<number> {
  const { blocks, bsize } = await statfs(path)
  return Math.min(2_048 * MIB, (blocks * bsize) / 10)
}

/** How far each tenant is in the lake; a tenant whose tables cannot be read is left out. */
async function deliveredOffsets(
  store: TenantStore,
  lake: LakeReader,
  logId: string,
): Promise<ReadonlyMap<number, number>> {
  const offsets = new Map<number, number>()
  for (const { tenantNo, tenantId } of store.tenants()) {
    await lake.offset(tenantId, logId).then(
      (offset) => offsets.set(tenantNo, offset),
      // Delivery asks again and reports it; until then the log keeps every row of the tenant.
      () => {},
    )
  }
  return offsets
}

async function openLake(folder: DataFolder): Promise<LakeReader> {
  const path = join(folder.path, 'lake')
  await removeUnfinished(nodeFiles, path)
  const objects = new FolderObjectStore(nodeFiles, path, folder.bucket, systemRandom)
  return new LakeReader(objects, new ObjectStoreCatalog(objects), systemClock, systemRandom)
}

function openDelivery(
  config: Config,
  folder: DataFolder,
  log: DiskLog,
  store: TenantStore,
  lake: LakeReader,
  logger: Logger,
): DeliveryScheduler {
  return new DeliveryScheduler({
    reader: log,
    worker: forkDeliveryWorker({
      program: PROGRAMS.delivery,
      dataFolder: folder.path,
      bucket: folder.bucket,
      stopMsMax: DELIVERY_STOP_MS_MAX,
    }),
    flushBytes: config.flushMib * MIB,
    tenant: (tenantNo) => {
      const tenant = store.tenants().find((each) => each.tenantNo === tenantNo)
      return tenant === undefined
        ? undefined
        : { tenantId: tenant.tenantId, sources: store.sources(tenantNo) }
    },
    deliveredOffset: (tenantId) => lake.offset(tenantId, log.logId),
    clock: systemClock,
    random: systemRandom,
    onDelivered: (tenantNo, result) => {
      if (result.status === 'delivered' && result.undeliverableCount > 0) {
        logger.error({ tenantNo, ...result }, 'events were undeliverable; see rejections')
      } else logger.debug({ tenantNo, ...result }, 'delivered')
    },
    onFault: (tenantNo, error) =>
      logger.error({ tenantNo, err: error }, 'delivery failed and will be tried again'),
  })
}

function openQuery(
  folder: DataFolder,
  log: DiskLog,
  store: TenantStore,
  lake: LakeReader,
  queryMs: RecentMedian,
  closers: Closers,
) {
  const tails = new Tails(join(folder.path, 'tails'), nodeFiles, log)
  closers.push(() => tails.close())
  // Closed before the tails, which its questions read.
  const engine = new DuckdbQueryEngine(PROGRAMS.query)
  closers.push(() => engine.close())
  const elapsed = () => performance.now()
  const run = sqlRunner({
    engine,
    tails,
    log,
    tenants: store,
    lakeSnapshot: (tenantId, table) => lake.snapshot(tenantId, table),
    elapsed,
  })
  return async (...call: Parameters<typeof run>) => {
    const startedMs = elapsed()
    const outcome = await run(...call)
    if (!('problem' in outcome)) queryMs.add(elapsed() - startedMs)
    return outcome
  }
}

/** So that the CLI finds the server of a folder. A crash leaves it behind; the next start replaces it. */
async function announce(folder: DataFolder, url: string): Promise<void> {
  const facts = `${JSON.stringify({ url, pid: process.pid })}\n`
  await replaceFile(nodeFiles, join(folder.path, 'server.json'), Buffer.from(facts))
}

/** A person at this machine's terminal may see the first tenant, and in the demo the sample. */
function grantsFor(store: TenantStore, firstTenantId: string, demo: Demo | undefined) {
  const tenants = [store.tenant(firstTenantId), demo?.sample].filter(
    (tenant): tenant is Tenant => tenant !== undefined,
  )
  return tenants.map(({ tenantNo }) => ({ tenantNo, scopes: TENANT_SCOPES }))
}

/** Which SQL engine answers here; rejects when it does not load on this machine. */
export async function sqlEngineVersion(): Promise<string> {
  const { engineVersion } = await import('../adapters/duckdb/engine-version.ts')
  return engineVersion()
}

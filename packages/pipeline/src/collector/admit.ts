/**
 * Who sends this batch, and may they: the credential decides tenant and source, nothing else does.
 *
 * A write key stands in web pages, so it is looked up, not compared in secret; the origins its source
 * lists stop other sites from using it by accident (a script can forge `Origin`, a browser cannot). A
 * Bearer token is a server's: it names its source with `?source=`, else the tenant's first is meant.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { type Problem, problem } from '@millrace/protocol'
import type { Source, Tenant, TenantStore } from '../tenants/tenant-store.ts'

export interface Sender {
  readonly tenantNo: number
  readonly source: Source
  /** A server credential: may send `historical` batches. */
  readonly server: boolean
}

/** Answers who a Bearer token is, with scope `events:write` already checked. */
export type AuthorizeBearer = (
  headers: IncomingHttpHeaders,
) => Promise<{ tenant: Tenant } | Problem>

export interface Credentials {
  /** `?key=`, the header `X-Write-Key`, or the envelope's `key`, in this order. */
  readonly writeKey: string | undefined
  readonly headers: IncomingHttpHeaders
  /** `?source=`. */
  readonly sourceName: string | undefined
}

type Sources = Pick<TenantStore, 'sourceByKey' | 'sources'>

/** Before the body is read; undefined when the body, or the check of a token, must tell. */
export function admitByHead(
  store: Sources,
  { writeKey, headers }: Omit<Credentials, 'sourceName'>,
): Sender | Problem | undefined {
  if (writeKey === undefined || headers.authorization !== undefined) return undefined
  return admitByKey(store, writeKey, headers.origin)
}

/** At once for a write key; a token's signature is checked elsewhere and takes a while. */
export function admit(
  store: Sources,
  authorizeBearer: AuthorizeBearer,
  { writeKey, headers, sourceName }: Credentials,
): Sender | Problem | Promise<Sender | Problem> {
  if (headers.authorization !== undefined) {
    return authorizeBearer(headers).then((principal) => {
      if (!('tenant' in principal)) return principal
      return sourceOf(store.sources(principal.tenant.tenantNo), sourceName)
    })
  }
  if (writeKey === undefined) return problem('unauthorized', 'no write key and no token')
  return admitByKey(store, writeKey, headers.origin)
}

function admitByKey(
  store: Sources,
  writeKey: string,
  origin: string | undefined,
): Sender | Problem {
  const source = store.sourceByKey(writeKey)
  if (source === undefined) return problem('unauthorized', 'the write key is not known')
  return refusedOrigin(source, origin) ?? { tenantNo: source.tenantNo, source, server: false }
}

function sourceOf(sources: readonly Source[], name: string | undefined): Sender | Problem {
  const source = name === undefined ? sources[0] : sources.find((one) => one.name === name)
  if (source === undefined) {
    const detail =
      name === undefined ? 'the tenant has no source' : `no source "${name.slice(0, 40)}"`
    return problem('not_found', detail)
  }
  return { tenantNo: source.tenantNo, source, server: true }
}

/** Only where the source lists origins and the header is there: servers and apps send none. */
function refusedOrigin(source: Source, origin: string | undefined): Problem | undefined {
  if (origin === undefined || source.origins.length === 0 || source.origins.includes(origin))
    return undefined
  return problem(
    'forbidden_origin',
    `origin ${origin.slice(0, 100)} is not among those of source ${source.name}`,
  )
}

/**
 * The control routes for `/openapi.json`, from the schemas that validate.
 */
import { type TSchema, Type } from 'typebox'
import {
  ClientAnswer,
  ClientRequest,
  CreatedClientAnswer,
  CreatedTenantAnswer,
  OriginsRequest,
  SourceAnswer,
  SourceRequest,
  TenantAnswer,
  TenantRequest,
} from './control-routes.ts'

const json = (schema: TSchema) => ({ content: { 'application/json': { schema } } })
const body = (schema: TSchema) => ({ required: true, ...json(schema) })
const page = (item: TSchema) =>
  json(Type.Object({ items: Type.Array(item), nextCursor: Type.Null() }))

const security = [{ bearer: [] }, { session: [] }] as const
const refusals = {
  401: { description: 'No valid credential' },
  403: { description: 'The credential lacks the scope' },
} as const
const refusedBody = {
  ...refusals,
  400: { description: 'The body is not valid; pointer names the member' },
} as const
const exists = { 409: { description: 'It exists already, or the list is full' } } as const
const missing = { 404: { description: 'There is no such thing of this tenant' } } as const
const inPath = (name: string) => [{ name, in: 'path', required: true, schema: { type: 'string' } }]

export const controlOpenapiPaths = {
  '/v1/tenants': {
    get: {
      summary: 'Tenants of the deployment (scope admin)',
      security,
      responses: { 200: { description: 'All of them', ...page(TenantAnswer) }, ...refusals },
    },
    post: {
      summary: 'Make a tenant with a source and a client (scope admin)',
      security,
      requestBody: body(TenantRequest),
      responses: {
        201: { description: 'Made', ...json(CreatedTenantAnswer) },
        ...refusedBody,
        ...exists,
      },
    },
  },
  '/v1/clients': {
    get: {
      summary: 'Clients of the tenant (scope events:admin)',
      security,
      responses: { 200: { description: 'All of them', ...page(ClientAnswer) }, ...refusals },
    },
    post: {
      summary: 'Make a client with scopes you have (scope events:admin)',
      security,
      requestBody: body(ClientRequest),
      responses: {
        201: { description: 'Made', ...json(CreatedClientAnswer) },
        ...refusedBody,
        ...exists,
      },
    },
  },
  '/v1/clients/{clientId}': {
    delete: {
      summary: 'Remove a client; its tokens and logins end at once (scope events:admin)',
      security,
      parameters: inPath('clientId'),
      responses: { 204: { description: 'Removed' }, ...refusals, ...missing },
    },
  },
  '/v1/sources': {
    get: {
      summary: 'Sources of the tenant (scope events:read)',
      security,
      responses: { 200: { description: 'All of them', ...page(SourceAnswer) }, ...refusals },
    },
    post: {
      summary: 'Make a source (scope events:admin)',
      security,
      requestBody: body(SourceRequest),
      responses: {
        201: { description: 'Made', ...json(SourceAnswer) },
        ...refusedBody,
        ...exists,
      },
    },
  },
  '/v1/sources/{name}': {
    put: {
      summary: 'Replace the origins that may send (scope events:admin)',
      security,
      parameters: inPath('name'),
      requestBody: body(OriginsRequest),
      responses: {
        200: { description: 'Changed', ...json(SourceAnswer) },
        ...refusedBody,
        ...missing,
      },
    },
  },
}

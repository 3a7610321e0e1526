/**
 * Reads a small JSON body and holds it to its schema; a refusal names the member to blame.
 */
import { type Problem, problem } from '@millrace/protocol'
import type { Static, TSchema } from 'typebox'
import type { Validator } from 'typebox/compile'

/** Control requests are a few hundred bytes; a hundred long origins are 30 KB. */
export const CONTROL_BODY_BYTES_MAX = 65_536

export type Read<T> = { readonly value: T } | { readonly problem: Problem }

export async function readJson<T extends TSchema>(
  request: Request,
  validator: Validator<Record<never, never>, T>,
): Promise<Read<Static<T>>> {
  const refuse = (...facts: Parameters<typeof problem>) => ({ problem: problem(...facts) })
  const mediaType = (request.headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase()
  if (mediaType !== 'application/json') {
    return refuse('unsupported_media_type', `the content type is ${mediaType || 'not given'}`, {
      hint: 'Send application/json.',
    })
  }
  const bytes = await readBytes(request, CONTROL_BODY_BYTES_MAX)
  if (bytes === undefined) {
    const detail = `the body has more than ${CONTROL_BODY_BYTES_MAX} bytes`
    return refuse('body_too_large', detail, { hint: 'Send less.' })
  }
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    const hint = 'Send one JSON object in UTF-8; see /openapi.json.'
    return refuse('malformed_json', 'the body is not JSON', { hint })
  }
  if (validator.Check(value)) return { value: value as Static<T> }
  const fault = faultOf(validator.Errors(value)[0])
  return refuse('invalid_request', fault.detail, { pointer: fault.pointer })
}

/** The whole body, or undefined when it is longer than `bytesMax`. */
export async function readBytes(
  request: Request,
  bytesMax: number,
): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = []
  let byteCount = 0
  if (request.body === null) return new Uint8Array()
  for await (const chunk of request.body) {
    byteCount += chunk.byteLength
    // Leaving the loop cancels the stream: the rest is never read.
    if (byteCount > bytesMax) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

type SchemaError = ReturnType<Validator['Errors']>[number] | undefined

function faultOf(error: SchemaError): { detail: string; pointer: string } {
  if (error === undefined) return { detail: 'the body does not fit its schema', pointer: '' }
  if (error.keyword === 'required') {
    const missing = error.params.requiredProperties[0] ?? ''
    return { detail: `${missing} is missing`, pointer: `${error.instancePath}/${missing}` }
  }
  const name = error.instancePath.slice(1) || 'the body'
  if (error.keyword === 'boolean') {
    return { detail: `${name} is not known here`, pointer: error.instancePath }
  }
  if (error.keyword === 'enum') {
    const allowed = error.params.allowedValues.join(', ')
    return { detail: `${name} is not one of ${allowed}`, pointer: error.instancePath }
  }
  return { detail: `${name} ${error.message}`, pointer: error.instancePath }
}

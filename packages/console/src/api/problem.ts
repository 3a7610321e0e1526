/**
 * What went wrong with a request, in the server's own words (RFC 9457): `code` to branch on, `detail`
 * and `hint` to show. A request that got no answer at all has status 0 and code `unreachable`.
 */
export class ApiProblem extends Error {
  readonly status: number
  readonly code: string
  readonly hint: string

  constructor(status: number, code: string, detail: string, hint: string) {
    super(detail)
    this.name = 'ApiProblem'
    this.status = status
    this.code = code
    this.hint = hint
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

/** Reads an error answer; a proxy's HTML page in its place still becomes a sentence. */
export async function problemOf(response: Response): Promise<ApiProblem> {
  const body: unknown = await response.json().catch(() => null)
  const facts = (body ?? {}) as Record<string, unknown>
  return new ApiProblem(
    response.status,
    text(facts.code) || `http_${response.status}`,
    text(facts.detail) || text(facts.title) || `the server answered ${response.status}`,
    text(facts.hint),
  )
}

export function unreachable(cause: unknown): ApiProblem {
  const problem = new ApiProblem(
    0,
    'unreachable',
    'the server does not answer',
    'It may be restarting; this page keeps trying.',
  )
  problem.cause = cause
  return problem
}

export function asProblem(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error
  return new ApiProblem(0, 'page_fault', error instanceof Error ? error.message : String(error), '')
}

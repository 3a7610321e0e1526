/**
 * Refusals that must say the same wherever they are made, so that nobody learns from a difference.
 */
import { type Problem, problem } from '@millrace/protocol'

/** Which of the checks failed would help nobody but a forger. */
export const UNAUTHORIZED: Problem = problem('unauthorized', 'no valid credential was sent')
/** For what is not there and for what is another tenant's: nobody can tell which. */
export const notFound = (what: string): Problem => problem('not_found', `there is no such ${what}`)

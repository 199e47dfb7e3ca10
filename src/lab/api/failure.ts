/** Why a request was not carried out: a value, and the Kubernetes Status object it becomes on the wire. */
import { title, type Fields } from './object.ts'

export interface Problem {
  /** Path of the field, e.g. `spec.ports[2].nodePort`. */
  readonly field: string
  /** What is wrong, with the value. */
  readonly problem: string
  /** What to do. */
  readonly remedy: string
  /** The value is fine, but not for an object that has another: only a new object can have it. */
  readonly fixed?: true
}

export interface Failure {
  /** HTTP status. */
  readonly code: number
  /** metav1.StatusReason, e.g. `AlreadyExists`. */
  readonly reason: string
  readonly message: string
  readonly problems?: readonly Problem[]
}

export function notFound(what: string): Failure {
  return { code: 404, reason: 'NotFound', message: `${what} not found` }
}

export function alreadyExists(what: string): Failure {
  return { code: 409, reason: 'AlreadyExists', message: `${what} already exists` }
}

export function conflict(what: string, why: string): Failure {
  return { code: 409, reason: 'Conflict', message: `Operation cannot be fulfilled on ${what}: ${why}` }
}

export function badRequest(message: string): Failure {
  return { code: 400, reason: 'BadRequest', message }
}

export function forbidden(message: string): Failure {
  return { code: 403, reason: 'Forbidden', message }
}

/** The one answer to "too far back": the client lists again. */
export function expired(message: string): Failure {
  return { code: 410, reason: 'Expired', message }
}

export function invalid(kind: string, metadata: Fields | undefined, problems: readonly Problem[]): Failure {
  const shown = problems.slice(0, PROBLEMS_SHOWN).map((p) => `${p.field}: ${p.problem}; ${p.remedy}`)
  if (problems.length > shown.length) shown.push(`and ${problems.length - shown.length} more`)
  return {
    code: 422,
    reason: 'Invalid',
    message: `${title(kind, metadata)} is invalid: ${shown.join(' | ')}`,
    problems,
  }
}

export function statusOf(failure: Failure): Fields {
  const causes = failure.problems?.slice(0, CAUSES_MAX).map((p) => ({
    reason: 'FieldValueInvalid',
    message: `${p.problem}; ${p.remedy}`,
    field: p.field,
  }))
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: failure.message,
    reason: failure.reason,
    ...(causes && { details: { causes } }),
    code: failure.code,
  }
}

const PROBLEMS_SHOWN = 5
const CAUSES_MAX = 100

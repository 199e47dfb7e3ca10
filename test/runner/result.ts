/** What a family of tests came to. `failures` and `skips` are lines for people. */
export interface Result {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly failures: readonly string[]
  readonly skips: readonly string[]
}

export const none: Result = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] }

export function add(a: Result, b: Result): Result {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    failures: [...a.failures, ...b.failures],
    skips: [...a.skips, ...b.skips],
  }
}

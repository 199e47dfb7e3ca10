import { show, type Report } from './rejection.ts'

/** Readers of values from outside. What is absent (undefined or null) is not an error; what has the wrong type is. */
export type Raw = Readonly<Record<string, unknown>>

export const isRecord = (value: unknown): value is Raw =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const isAbsent = (value: unknown): value is undefined | null => value === undefined || value === null

/** An object; empty when absent or wrong. */
export function record(value: unknown, field: string, report: Report): Raw {
  if (isRecord(value)) return value
  if (!isAbsent(value))
    report.reject(field, `is ${show(value)}, not an object`, 'write an object here, or leave it out')
  return EMPTY_RECORD
}

/** A list of at most `max` items; empty when absent or wrong. The rest of a longer one is reported and left out. */
export function list(value: unknown, field: string, max: number, report: Report): readonly unknown[] {
  if (Array.isArray(value)) {
    if (value.length <= max) return value
    report.reject(field, `has ${value.length} items; only the first ${max} are used`, `use at most ${max} items`)
    return value.slice(0, max)
  }
  if (!isAbsent(value)) report.reject(field, `is ${show(value)}, not a list`, 'write a list here, or leave it out')
  return EMPTY_LIST
}

export const isInteger = (value: unknown, min: number, max: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max

/** A whole number from `min` to `max`; `otherwise` when absent or (reported) wrong. */
export function integer<T>(
  value: unknown,
  field: string,
  [min, max]: readonly [number, number],
  otherwise: T,
  report: Report,
): number | T {
  if (isInteger(value, min, max)) return value
  if (!isAbsent(value)) {
    const remedy = typeof value === 'string' ? 'write the number without quotes' : `use a number from ${min} to ${max}`
    report.reject(field, `is ${show(value)}, not a whole number from ${min} to ${max}`, remedy)
  }
  return otherwise
}

/** One of a few words; `otherwise` when absent or (reported) wrong. */
export function oneOf<T extends string>(
  value: unknown,
  field: string,
  words: readonly T[],
  otherwise: T,
  report: Report,
): T {
  if ((words as readonly unknown[]).includes(value)) return value as T
  if (!isAbsent(value)) {
    report.reject(field, `is ${show(value)}; taken as ${otherwise}`, `use one of ${words.join(', ')}`)
  }
  return otherwise
}

/** True or false; `otherwise` when absent or (reported) wrong. */
export function flag(value: unknown, field: string, otherwise: boolean, report: Report): boolean {
  if (typeof value === 'boolean') return value
  if (!isAbsent(value))
    report.reject(field, `is ${show(value)}; taken as ${otherwise}`, 'use true or false, without quotes')
  return otherwise
}

const EMPTY_RECORD: Raw = Object.freeze({})
const EMPTY_LIST: readonly unknown[] = Object.freeze([])

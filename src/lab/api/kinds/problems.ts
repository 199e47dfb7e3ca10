/** What a check finds wrong with an object, field by field. */
import type { Problem } from '../failure.ts'
import { cut, isObject, type Fields } from '../object.ts'

export class Problems {
  readonly found: Problem[] = []

  add(field: string, problem: string, remedy: string): void {
    if (this.found.length < PROBLEMS_MAX) this.found.push({ field, problem, remedy })
  }

  /** Of what cannot change in an object that is there. */
  fixed(field: string, problem: string, remedy: string): void {
    this.found.push({ field, problem, remedy, fixed: true })
  }

  /** An absent value is not among them: check after defaults. */
  oneOf(field: string, value: unknown, allowed: readonly unknown[]): void {
    if (!allowed.includes(value)) this.add(field, `${cut(value)} is not possible`, `use one of ${allowed.join(', ')}`)
  }

  whole(field: string, value: unknown, min: number, max = 2 ** 31 - 1): void {
    if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return
    this.add(field, `${cut(value)} is not a whole number from ${min} to ${max}`, 'write one')
  }

  port(field: string, value: unknown): void {
    this.whole(field, value, 1, 65_535)
  }

  /** IANA_SVC_NAME (RFC 6335 5.1): the name of a port. */
  portName(field: string, value: unknown): void {
    const isName = typeof value === 'string' && /^(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/.test(value) && value.length <= 15
    if (!isName)
      this.add(field, `${cut(value)} is not a port name`, 'use at most 15 of a-z, 0-9 and -, a letter among them')
  }

  /** DNS label (RFC 1123). */
  label(field: string, value: unknown): void {
    if (typeof value === 'string' && LABEL.test(value) && value.length <= 63) return
    this.add(field, `${cut(value)} is not a DNS label`, 'use at most 63 of a-z, 0-9 and -, not - at an end')
  }

  /** DNS subdomain (RFC 1123). */
  subdomain(field: string, value: unknown): void {
    if (typeof value === 'string' && value.length <= 253 && value.split('.').every((part) => LABEL.test(part))) return
    const remedy = 'use at most 253 of a-z, 0-9, - and ., each part beginning and ending with a letter or digit'
    this.add(field, `${cut(value)} is not a name`, remedy)
  }

  labels(field: string, value: unknown): void {
    if (value === undefined) return
    if (!isObject(value)) return this.add(field, `${cut(value)} is not a map`, 'write key: value lines')
    for (const [key, text] of Object.entries(value)) {
      if (!QUALIFIED.test(key) || key.length > 317) {
        this.add(
          field,
          `the key ${cut(key)} is not a label key`,
          'use [prefix/]name with at most 63 of a-z A-Z 0-9 - _ .',
        )
      }
      if (typeof text !== 'string' || text.length > 63 || (text !== '' && !LABEL_VALUE.test(text))) {
        this.add(
          `${field}.${cut(key)}`,
          `${cut(text)} is not a label value`,
          'use a string of at most 63 of a-z A-Z 0-9 - _ .',
        )
      }
    }
  }
}

/** Sets `field` when it is absent. */
export function byDefault(object: Fields, field: string, value: unknown): void {
  if (object[field] === undefined || object[field] === null) object[field] = value
}

/** A list of objects, or an empty one (what is not an object is reported by `listed`). */
export function listOf(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}

const PROBLEMS_MAX = 1000
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const LABEL_VALUE = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/
const QUALIFIED = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/

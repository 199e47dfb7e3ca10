import { intern } from './intern.ts'
import { isAbsent, isRecord, list, record } from './raw.ts'
import { show, type Report } from './rejection.ts'

/** A label selector (meta/v1 LabelSelector): every requirement must hold. None: selects everything. */
export type Selector = readonly Requirement[]

export interface Requirement {
  readonly key: string
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
  /** Sorted, each once. Empty for Exists and DoesNotExist. */
  readonly values: readonly string[]
}

/** True when labels meet every requirement. As upstream, NotIn also holds where the label is absent. */
export function matches(selector: Selector, labels: ReadonlyMap<string, string>): boolean {
  for (const requirement of selector) if (!holds(requirement, labels.get(requirement.key))) return false
  return true
}

/**
 * `{ matchLabels?, matchExpressions? }` as JSON. null (reported) when any part is unusable: a selector that lost a
 * requirement would select more than was meant, so there is no such thing as a part of one.
 */
export function parseSelector(value: unknown, field: string, report: Report): Selector | null {
  if (!isAbsent(value) && !isRecord(value)) {
    report.reject(field, `is ${show(value)}, not a label selector`, 'write matchLabels or matchExpressions')
    return null
  }
  const raw = record(value, field, report)
  const equal = equalities(raw['matchLabels'], `${field}.matchLabels`, report)
  const given = raw['matchExpressions']
  if (equal === null) return null
  if (!isAbsent(given) && !(Array.isArray(given) && given.length <= REQUIREMENTS_MAX)) {
    const problem = `is ${show(given)}, not a list of at most ${REQUIREMENTS_MAX} requirements`
    report.reject(`${field}.matchExpressions`, problem, 'write a list of { key, operator, values }')
    return null
  }
  const requirements = [...equal]
  for (const [i, item] of list(given, `${field}.matchExpressions`, REQUIREMENTS_MAX, report).entries()) {
    const requirement = parseRequirement(item, `${field}.matchExpressions[${i}]`, report)
    if (requirement === null) return null
    requirements.push(requirement)
  }
  return requirements
}

/** A plain map of labels (Service spec.selector): each must be equal. null (reported) when unusable. */
export function equalities(value: unknown, field: string, report: Report): Selector | null {
  if (isAbsent(value)) return []
  const entries = isRecord(value) ? Object.entries(value) : []
  if (!isRecord(value) || entries.length > REQUIREMENTS_MAX) {
    const problem = `is ${isRecord(value) ? `${entries.length} labels` : show(value)}`
    report.reject(field, `${problem}, not a map of at most ${REQUIREMENTS_MAX} labels`, 'write label: value lines')
    return null
  }
  const selector: Requirement[] = []
  for (const [key, text] of entries) {
    if (typeof text !== 'string' || text.length > VALUE_MAX || !isKey(key)) {
      const problem = `is ${show(text)}; labels are text of at most ${VALUE_MAX} characters`
      report.reject(`${field}[${show(key)}]`, problem, 'write the value in quotes')
      return null
    }
    selector.push({ key: intern(key), operator: 'In', values: [intern(text)] })
  }
  return selector
}

/**
 * The text form of list queries and `-l`: `app=web,tier!=db,env in (a, b),team notin (x),canary,!old`.
 * A string is what is wrong with it.
 */
export function parseSelectorText(text: string): Selector | string {
  const selector: Requirement[] = []
  if (text.length > TEXT_MAX) return `the selector has ${text.length} characters; at most ${TEXT_MAX} are taken`
  if (text.trim() === '') return selector
  for (const part of text.split(/,(?![^(]*\))/)) {
    const match = TERM.exec(part.trim())
    if (match === null)
      return `${show(part)} is no label selector; write key=value, key!=value, key in (a,b), key or !key`
    const { not, key = '', sign, value, set, values } = match.groups!
    const sorted = values === undefined ? [value ?? ''] : unique(values.split(',').map((it) => it.trim()))
    if (not !== undefined) selector.push({ key, operator: 'DoesNotExist', values: [] })
    else if (sign === undefined && set === undefined) selector.push({ key, operator: 'Exists', values: [] })
    else selector.push({ key, operator: sign === '!=' || set === 'notin' ? 'NotIn' : 'In', values: sorted })
  }
  return selector
}

/** As parseSelectorText reads it. */
export const selectorText = (selector: Selector): string => selector.map(requirementText).join(',')

function requirementText({ key, operator, values }: Requirement): string {
  switch (operator) {
    case 'In':
      return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(',')})`
    case 'NotIn':
      return `${key} notin (${values.join(',')})`
    case 'Exists':
      return key
    case 'DoesNotExist':
      return `!${key}`
    default:
      return operator satisfies never
  }
}

/** `value`: what the label is; undefined: there is none. */
export function holds({ operator, values }: Omit<Requirement, 'key'>, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    default:
      return operator satisfies never
  }
}

function parseRequirement(value: unknown, field: string, report: Report): Requirement | null {
  const { key, operator, values } = record(value, field, report)
  if (!isKey(key)) {
    report.reject(`${field}.key`, `is ${show(key)}, not a label key`, 'write a label key, like app or example.com/app')
    return null
  }
  if (operator !== 'In' && operator !== 'NotIn' && operator !== 'Exists' && operator !== 'DoesNotExist') {
    report.reject(`${field}.operator`, `is ${show(operator)}`, 'use In, NotIn, Exists or DoesNotExist')
    return null
  }
  const given: unknown = values ?? []
  const wanted = operator === 'In' || operator === 'NotIn'
  const usable =
    Array.isArray(given) &&
    given.length <= VALUES_MAX &&
    given.length > 0 === wanted &&
    given.every((it) => typeof it === 'string' && it.length <= VALUE_MAX)
  if (usable) return { key: intern(key), operator, values: unique((given as string[]).map(intern)) }
  const remedy = wanted ? `give 1 to ${VALUES_MAX} texts in quotes` : `leave values out with ${operator}`
  report.reject(`${field}.values`, `is ${show(values)}, which does not go with ${operator}`, remedy)
  return null
}

const isKey = (value: unknown): value is string => typeof value === 'string' && value !== '' && value.length <= KEY_MAX

const unique = (values: readonly string[]): readonly string[] => [...new Set(values)].sort()

const KEY_MAX = 317
const VALUE_MAX = 63
const VALUES_MAX = 1000
const REQUIREMENTS_MAX = 100
const TEXT_MAX = 10_000
const TERM =
  /^(?:(?<not>!)\s*)?(?<key>[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?)(?:\s*(?<sign>==|=|!=)\s*(?<value>[-A-Za-z0-9_.]*)|\s+(?<set>in|notin)\s*\((?<values>[-A-Za-z0-9_.,\s]*)\))?$/

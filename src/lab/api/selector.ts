/** Label and field selectors: as text in a query (`app=web,tier!=db,env in (a,b)`) and as objects in specs. */
import { holds as meets } from '../../cluster/selector.ts'
import { isObject, textOf, type ApiObject, type Fields } from './object.ts'

export interface Requirement {
  readonly key: string
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt'
  readonly values: readonly string[]
}
/** All must hold; an empty one holds for everything. */
export type Selector = readonly Requirement[]

export function matches(selector: Selector, labels: Readonly<Record<string, string>> | undefined): boolean {
  return selector.every((requirement) => holds(requirement, labels?.[requirement.key]))
}

/** metav1.LabelSelector. null or absent selects nothing, {} everything (API documentation). */
export function labelSelector(raw: unknown): Selector | null {
  if (!isObject(raw)) return null
  const requirements = equalTo(raw['matchLabels'])
  for (const expression of Array.isArray(raw['matchExpressions']) ? raw['matchExpressions'] : []) {
    if (isObject(expression)) requirements.push(requirementOf(expression))
  }
  return requirements
}

/** The plain map of a Service: an empty or absent one selects nothing (the endpoints are then somebody else's). */
export function mapSelector(raw: unknown): Selector | null {
  const requirements = equalTo(raw)
  return requirements.length === 0 ? null : requirements
}

/** A node selector term's matchExpressions: also Gt and Lt. */
export function requirementOf(raw: Fields): Requirement {
  const values = Array.isArray(raw['values']) ? raw['values'].map(textOf) : []
  return { key: textOf(raw['key']), operator: raw['operator'] as Requirement['operator'], values }
}

/** The query parameter labelSelector. null: not a selector. */
export function parseLabelSelector(text: string): Selector | null {
  const requirements: Requirement[] = []
  for (const part of text.matchAll(/\s*((?:[^,(]|\([^)]*\))*)\s*(?:,|$)/g)) {
    if (part[1]!.trim() === '') continue
    const requirement = parseRequirement(part[1]!.trim())
    if (requirement === null) return null
    requirements.push(requirement)
  }
  return requirements
}

/** The query parameter fieldSelector, on any path of the object (the real one knows a few a kind). null: not one. */
export function parseFieldSelector(text: string): Selector | null {
  const requirements: Requirement[] = []
  for (const part of text.split(',')) {
    if (part.trim() === '') continue
    const match = /^\s*([\w./-]+)\s*(!=|==|=)\s*(.*?)\s*$/.exec(part)
    if (match === null) return null
    requirements.push({ key: match[1]!, operator: match[2] === '!=' ? 'NotIn' : 'In', values: [match[3]!] })
  }
  return requirements
}

export function matchesFields(selector: Selector, object: ApiObject): boolean {
  return selector.every((requirement) => holds(requirement, fieldAt(object, requirement.key)))
}

function holds({ operator, values }: Requirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
    case 'NotIn':
    case 'Exists':
    case 'DoesNotExist':
      return meets({ operator, values }, value)
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0])
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0])
    default:
      operator satisfies never
      return false // an operator from outside that the API does not have
  }
}

function parseRequirement(text: string): Requirement | null {
  const set = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(text)
  if (set !== null) {
    const values = set[3]!.split(',').map((value) => value.trim())
    return { key: set[1]!, operator: set[2] === 'in' ? 'In' : 'NotIn', values }
  }
  const equality = /^([^\s=!<>]+)\s*(!=|==|=|>|<)\s*([^\s=!<>]*)$/.exec(text)
  if (equality !== null) return { key: equality[1]!, operator: OPERATORS[equality[2]!]!, values: [equality[3]!] }
  if (/^[^\s=!<>()]+$/.test(text)) return { key: text, operator: 'Exists', values: [] }
  const absent = /^!\s*([^\s=!<>()]+)$/.exec(text)
  return absent === null ? null : { key: absent[1]!, operator: 'DoesNotExist', values: [] }
}

function equalTo(labels: unknown): Requirement[] {
  if (!isObject(labels)) return []
  return Object.entries(labels).map(([key, value]) => ({ key, operator: 'In', values: [textOf(value)] }))
}

/** An absent field is '' (`spec.nodeName=` selects the pods that no node has yet). */
function fieldAt(object: ApiObject, path: string): string {
  let value: unknown = object
  for (const step of path.split('.')) value = isObject(value) ? value[step] : undefined
  return value === undefined || value === null ? '' : textOf(value)
}

const OPERATORS: Readonly<Record<string, Requirement['operator']>> = {
  '=': 'In',
  '==': 'In',
  '!=': 'NotIn',
  '>': 'Gt',
  '<': 'Lt',
}

/** Something in an object that cannot be used. The rest of the object, and every other object, still is. */
export interface Rejection {
  /** e.g. `Service shop/frontend`. */
  readonly object: string
  /** Path of the field, e.g. `spec.ports[2].nodePort`. */
  readonly field: string
  /** What was wrong, with the value (shortened to 80 characters). */
  readonly problem: string
  /** What to do. */
  readonly remedy: string
}

/** `row` is null when nothing of the object can be used. */
export interface Parsed<Row> {
  readonly row: Row | null
  readonly rejections: readonly Rejection[]
}

/** Collects what is wrong with one object while it is parsed. Bounded: what exceeds REJECTIONS_MAX is counted. */
export class Report {
  readonly object: string
  readonly #rejections: Rejection[] = []
  #unlisted = 0

  constructor(object: string) {
    this.object = object
  }

  reject(field: string, problem: string, remedy: string): void {
    if (this.#rejections.length < REJECTIONS_MAX) {
      this.#rejections.push({ object: this.object, field: field.slice(0, FIELD_MAX), problem, remedy })
    } else this.#unlisted++
  }

  /** The result of the parse; nothing is added after it, neither to the row nor to what was wrong. */
  parsed<Row extends object>(row: Row | null): Parsed<Row> {
    if (row !== null) fit(row)
    if (this.#rejections.length === 0) return { row, rejections: NONE }
    if (this.#unlisted > 0) {
      const problem = `${this.#unlisted} more problems in this object are not listed`
      const remedy = 'mend those that are listed; the others then show'
      this.#rejections.push({ object: this.object, field: '', problem, remedy })
    }
    return { row, rejections: this.#rejections }
  }
}

/** Lists that grew by `push` keep room for 17: with 10,000 objects of one port each that is most of what they hold. */
function fit(row: object): void {
  const fields = row as Record<string, unknown>
  for (const field in fields) {
    const value = fields[field]
    if (Array.isArray(value)) fields[field] = value.length === 0 ? NONE : value.slice()
  }
}

/** A value from outside as JSON on one line, cut to 80 characters. Never throws. */
export function show(value: unknown): string {
  const whole = typeof value === 'string' ? JSON.stringify(value.slice(0, SHOWN_MAX + 1)) : shallow(value)
  return whole.length <= SHOWN_MAX ? whole : `${whole.slice(0, SHOWN_MAX - 3)}...`
}

// Not JSON.stringify of a whole object: a hostile one is deep, cyclic, or a gigabyte long when its aliases are spelled out.
function shallow(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  return value === undefined ? 'nothing' : String(value)
}

const SHOWN_MAX = 80
const FIELD_MAX = 200
const REJECTIONS_MAX = 50
const NONE: readonly never[] = Object.freeze([])

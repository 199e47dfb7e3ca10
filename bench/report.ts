/** What a family of measurements found, and how it is shown. */
import type { Chart } from './chart.ts'

export type Cell = string | number
export interface Table {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
}

/** A promise of the design against what was measured. */
export interface Check {
  readonly what: string
  readonly value: number
  readonly unit: string
  readonly target: { readonly atLeast: number } | { readonly below: number }
}

export interface Report {
  readonly tables: readonly Table[]
  readonly checks: readonly Check[]
  /** By file name. */
  readonly charts: Readonly<Record<string, Chart>>
  readonly notes: readonly string[]
}

export const isMet = ({ value, target }: Check): boolean =>
  'atLeast' in target ? value >= target.atLeast : value < target.below

/** As Markdown, which a terminal shows well too. */
export function show({ tables, checks, notes }: Report): string {
  const parts = tables.map(({ title, columns, rows }) => `${title}\n\n${grid(columns, rows)}`)
  if (checks.length > 0) {
    const rows = checks.map((check) => {
      const goal = 'atLeast' in check.target ? `>= ${check.target.atLeast}` : `< ${check.target.below}`
      return [check.what, `${figure(check.value)} ${check.unit}`.trim(), goal, isMet(check) ? 'met' : 'NOT MET']
    })
    parts.push(grid(['promise', 'measured', 'target', ''], rows))
  }
  if (notes.length > 0) parts.push(notes.map((note) => `- ${note}`).join('\n'))
  return parts.join('\n\n') + '\n'
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Within a round the machine is the same: `part(value, base)` is taken there, of as many rounds as both have; then the median. */
export function byRound<T>(values: readonly T[], bases: readonly T[], part: (value: T, base: T) => number): number {
  return median(values.slice(0, bases.length).map((value, round) => part(value, bases[round]!)))
}

/** Nearest rank; of no values NaN. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? NaN
}

/** Three significant digits, thousands apart. */
export function figure(value: Cell): string {
  if (typeof value === 'string') return value
  if (!Number.isFinite(value)) return '-'
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US')
  return Number(value.toPrecision(3)).toString()
}

/** A figure, and in brackets what ours is of it where it is another's. */
export const withShare = (value: number, who: string, share: () => number): Cell =>
  who === 'Fairlead' ? value : `${figure(value)} (${figure(share())})`

function grid(columns: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cells = [columns, ...rows.map((row) => row.map(figure))]
  const isNumber = columns.map((_, i) => rows.some((row) => typeof row[i] === 'number'))
  const widths = columns.map((_, i) => Math.max(3, ...cells.map((row) => row[i]!.length)))
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => (isNumber[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join(' | ')} |`
  const rule = widths.map((width, i) => (isNumber[i] ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width)))
  return [line(cells[0]!), line(rule), ...cells.slice(1).map(line)].join('\n')
}

/** Equal is within 5 % (design.md, 8). */
export const EQUAL = { below: 1.05 } as const

/** What a full run leaves behind: latest.json with every figure, latest.md as it was printed, an SVG for each chart. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { svgOf } from './chart.ts'
import type { Machine } from './machine.ts'
import { isMet, type Report } from './report.ts'

export interface Result extends Report {
  readonly seconds: number
  /** Load average of the last minute, before and after; above 1.5 at the start somebody else was at work. */
  readonly load: readonly [number, number]
}

/** By family. */
export type Results = Readonly<Record<string, Result>>

export function jsonOf(machine: Machine, short: boolean, results: Results): string {
  return JSON.stringify({ machine, short, results }, null, 1) + '\n'
}

/** How many promises were kept, and which were not. */
export function verdictOf(results: Results): string {
  const checks = Object.values(results).flatMap((result) => result.checks)
  const missed = checks.filter((check) => !isMet(check))
  return [
    `${checks.length - missed.length} of ${checks.length} targets met`,
    ...missed.map(({ what }) => `- not met: ${what}`),
  ].join('\n')
}

/** Replaces what an earlier run left in `folder`. */
export function keep(folder: string, json: string, printed: string, results: Results): void {
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) if (name.endsWith('.svg')) rmSync(join(folder, name))
  writeFileSync(join(folder, 'latest.json'), json)
  writeFileSync(join(folder, 'latest.md'), `# The last full run\n\n${printed}\n`)
  for (const { charts } of Object.values(results))
    for (const [name, chart] of Object.entries(charts)) writeFileSync(join(folder, `${name}.svg`), svgOf(chart))
}

/** What deciding costs, apart from kernel and cluster: the tables of bench/core.ts and bench/service.ts. */
import { exec, describe } from '../../src/kernel/exec.ts'
import type { Cell, Report, Table } from '../report.ts'

type Figures = { readonly what: string } & Readonly<Record<string, Cell>>

export async function core(short: boolean, progress: (words: string) => void): Promise<Report> {
  const names = short ? ['change', 'fanin'] : ['change', 'fanin', 'relabel', 'zero', 'row', 'edge']
  progress('core: tables and derivations')
  const ofCore = await run('core.ts', names)
  progress('core: services')
  const ofServices = await run('service.ts', short ? ['many', 'large'] : [])
  const us = (text: string): number => Number(ofCore.find(({ what }) => what.includes(text))?.['us median'])
  return {
    tables: [
      ...tablesOf(ofCore, 'core: tables and derivations'),
      ...tablesOf(ofServices, 'core: deciding about services'),
    ],
    checks: [
      {
        ...{
          what: 'a change at 100,000 rows, of one at 1,000',
          value: us(' 100000 rows') / us(' 1000 rows'),
          unit: 'x',
        },
        target: { below: 2 },
      },
    ],
    charts: {},
    notes: [],
  }
}

async function run(file: string, names: readonly string[]): Promise<Figures[]> {
  const path = new URL(`../${file}`, import.meta.url).pathname
  const result = await exec([process.execPath, '--expose-gc', path, '--json', ...names], { timeoutMs: CORE_MAX_MS })
  if (result.kind !== 'done') throw new Error(describe(result))
  return JSON.parse(result.stdout) as Figures[]
}

/** One table for each set of columns. */
function tablesOf(all: readonly Figures[], title: string): Table[] {
  const groups = Map.groupBy(all, ({ what: _, ...figures }) => Object.keys(figures).join())
  return [...groups.values()].map((group) => {
    const columns = Object.keys(group[0]!)
    return { title, columns, rows: group.map((figures) => columns.map((column) => figures[column] ?? '')) }
  })
}

/** Of a machine that does something else, too. */
const CORE_MAX_MS = 400_000

/** From what was measured to what is printed and kept: the ratios in the tables, the promises, the files of a full run. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Journey } from '../../bench/agents.ts'
import * as agents from '../../bench/families/agents.ts'
import * as forward from '../../bench/families/forward.ts'
import * as rules from '../../bench/families/rules.ts'
import type { Load } from '../../bench/lane.ts'
import type { Machine } from '../../bench/machine.ts'
import type { Cell, Report } from '../../bench/report.ts'
import { COPIES } from '../../bench/rulesets.ts'
import { jsonOf, keep, verdictOf, type Result } from '../../bench/results.ts'

const load = (rate: number, cpuUs: number): Load => ({
  ...{ connections: 1000, failed: 0, rate, p99Us: 1500, cpuUs, clientUs: cpuUs / 2, machineUs: cpuUs, softirqUs: 1 },
})
/** The cells of the first row that begins so, by column. */
function row({ tables }: Report, ...first: Cell[]): Record<string, Cell> {
  for (const { columns, rows } of tables)
    for (const cells of rows)
      if (first.every((cell, i) => cells[i] === cell))
        return Object.fromEntries(columns.map((name, i) => [name, cells[i]!]))
  throw new Error(`no row ${first.join()}`)
}

t.test('forward: ratios are of direct, in the same round', async (t) => {
  const results = new Map<forward.Runner, Load[]>()
  const put = (who: forward.Runner['who'], services: number, kind: forward.Runner['kind'], ...loads: Load[]): void =>
    void results.set({ who, services, kind, lane: `${who}-${services}` }, loads)
  put('direct', 1, '', load(1000, 100), load(500, 200), load(1000, 100))
  for (const services of [1, 1_000, 10_000, 30_000])
    put('Fairlead', services, '', load(900, 125), load(450, 250), load(100, 500))
  results.set([...results.keys()][3]!, [load(810, 150), load(405, 300), load(90, 600)])
  for (const kind of ['affinity', '5,000 endpoints'] as const)
    put('Fairlead', 10_000, kind, load(700, 100), load(250, 100))
  const report = forward.reportOf(results, ['said'])
  const one = row(report, 'Fairlead', 1)
  t.match(one, { 'of direct': 0.9, 'by CPU': 0.8, 'more than direct': 50, 'conn/s': 450 })
  t.match(row(report, 'Fairlead', 10_000), { 'of direct': 0.81 })
  const check = (what: string): number => report.checks.find((each) => each.what.startsWith(what))!.value
  t.equal(check('10,000 services, rate of direct'), 0.81)
  t.equal(check('10,000 services, CPU/conn of that with 1'), 1.2)
  t.equal(check('30,000 services, rate of that with 1'), 1)
  t.equal(check('5,000 endpoints'), 0.5)
  t.ok(report.notes.includes('said'))
})

t.test('agents: how many times as long as ours, with as many services', async (t) => {
  const journey = (firstMs: number, ...changesMs: number[]): Journey => ({
    ...{ firstMs, syncMs: firstMs / 2, changesMs, memory: { rssMB: firstMs / 10, peakMB: 1, ownMB: 1, helpersMB: 3 } },
  })
  const of = (who: agents.Case['who'], services: number): agents.Case => ({ who, services, rounds: 1, changes: 3 })
  const report = agents.reportOf(
    new Map([
      [of('Fairlead', 1_000), [journey(1000, 4, 2, 3), journey(5000, 3, 3, 9), journey(1200, 3, 3, 3)]],
      [of('kube-proxy nftables', 1_000), [journey(3000, 200, 300, 400)]],
      [of('Fairlead', 10_000), [journey(2000, 5)]],
      [of('kube-proxy nftables', 10_000), [journey(20_000, 5000)]],
    ]),
    [],
  )
  const first = 'start to first connection, s'
  t.match(row(report, 'Fairlead', 1_000), { [first]: 1.2, 'p50 ms': 3, 'max ms': 9, 'change to connection: n': 9 })
  t.match(row(report, 'kube-proxy nftables', 1_000), { [first]: '3 (2.5x)', 'p50 ms': '300 (100x)', 'max ms': 400 })
  t.match(row(report, 'kube-proxy nftables', 10_000), { [first]: '20 (10x)', 'p50 ms': '5,000 (1,000x)' })
})

t.test('rules: what a step adds to another; what one of many copies weighs', async (t) => {
  const step = (what: string, on: string): rules.Step => ({ what, on, lane: 'direct', to: [] })
  const report = rules.reportOf(
    new Map([
      [step('direct', 'direct'), [load(1000, 100), load(500, 150), load(900, 100)]],
      [step('nat', 'direct'), [load(800, 110), load(400, 160), load(810, 150)]],
      [step('map', 'nat'), [load(800, 112), load(400, 162), load(810, 152)]],
      [step(`${COPIES} x jump and return`, 'nat'), [load(800, 120), load(400, 170), load(810, 160)]],
    ]),
  )
  t.match(row(report, 'nat'), { 'more than direct': 10, adds: 10, to: 'direct', 'of direct': 0.8 })
  t.match(row(report, 'map'), { 'more than direct': 12, adds: 2, to: 'nat' })
  t.match(row(report, 'jump nothing'), { ns: 20 })
})

t.test('what a full run leaves behind', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bench-results-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'gone.svg'), 'of an earlier run')
  const check = (what: string, value: number) => ({ what, value, unit: '', target: { below: 5 } })
  const bars = {
    kind: 'bars',
    title: 'T',
    unit: 'ms',
    log: false,
    bars: [{ label: 'a', value: 1, ours: true }],
  } as const
  const result: Result = {
    ...{ tables: [], checks: [check('good', 1), check('bad', 7)], charts: { chart: bars }, notes: [] },
    ...{ seconds: 3, load: [0.5, 1] },
  }
  const results = { program: result }
  const verdict = verdictOf(results)
  t.equal(verdict, '1 of 2 targets met\n- not met: bad')
  const json = jsonOf({ kernel: '6.18' } as Machine, false, results)
  keep(join(folder), json, verdict, results)
  t.same(readdirSync(folder).sort(), ['chart.svg', 'latest.json', 'latest.md'])
  t.match(readFileSync(join(folder, 'latest.md'), 'utf8'), /^# The last full run\n\n1 of 2 targets met/)
  t.match(readFileSync(join(folder, 'chart.svg'), 'utf8'), /^<svg /)
  t.equal(JSON.parse(readFileSync(join(folder, 'latest.json'), 'utf8')).results.program.checks[1].value, 7)
})

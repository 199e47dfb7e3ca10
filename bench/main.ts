/**
 * `npm run bench [-- FAMILY... --short --json FILE]`: what Fairlead costs, beside peers, in namespaces of its own. Prints tables;
 * a full run of all families writes results/latest.md, latest.json and charts, any other run only the file that --json names.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { build } from '../test/cluster/build.ts'
import { enterWorld } from '../test/netns/world.ts'
import { agents } from './families/agents.ts'
import { change } from './families/change.ts'
import { core } from './families/core.ts'
import { dns } from './families/dns.ts'
import { forward } from './families/forward.ts'
import { http } from './families/http.ts'
import { join } from './families/join.ts'
import { memory } from './families/memory.ts'
import { overlay } from './families/overlay.ts'
import { program } from './families/program.ts'
import { rules } from './families/rules.ts'
import { fetchDebian } from './debian.ts'
import { describeMachine, loadAverage } from './machine.ts'
import { show, type Report } from './report.ts'
import { PACKAGES as PROXIES } from './proxies.ts'
import { PACKAGES as RESOLVERS } from './resolvers.ts'
import { jsonOf, keep, verdictOf, type Result } from './results.ts'

async function main(): Promise<number> {
  const { values: options, positionals } = parseArgs({
    allowPositionals: true,
    options: { short: { type: 'boolean' }, json: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  })
  const unknown = positionals.filter((name) => !(name in FAMILIES))
  if (options.help || unknown.length > 0) {
    console.error(`${unknown.length > 0 ? `${unknown.join(', ')}: no such family\n` : ''}${USAGE}`)
    return unknown.length > 0 ? 2 : 0
  }
  const short = options.short === true
  // Before: in the world there is no network.
  const isOutside = process.env['FAIRLEAD_WORLD'] !== '1'
  const isWanted = (name: string): boolean => positionals.length === 0 || positionals.includes(name)
  if (isOutside && isWanted('dns')) await fetchResolvers(short)
  if (isOutside && isWanted('http')) sayProblem('http', await fetchDebian(PROXIES))
  await enterWorld()
  const machine = await describeMachine()
  const results: Record<string, Result> = {}
  const said: string[] = []
  const say = (words: string): void => {
    said.push(words)
    console.log(words)
  }
  say(
    `${Object.entries(machine)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')}\n`,
  )
  let failed = false
  for (const [name, run] of Object.entries(FAMILIES)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue
    if (short && performance.now() > SHORT_MAX_MS) {
      say(
        `## ${name}\n\nleft out: this machine has taken ${Math.round(performance.now() / 1000)} s for what came before\n`,
      )
      continue
    }
    try {
      const result = (results[name] = await timed((progress) => run(short, progress)))
      const [before, after] = result.load
      say(`## ${name}\n\n${show(result)}\n${result.seconds} s, load average ${before} -> ${after}\n`)
    } catch (error) {
      failed = true
      say(`## ${name}\n\nfailed: ${error instanceof Error ? error.stack : String(error)}\n`)
    }
  }
  say(verdictOf(results))
  const json = jsonOf(machine, short, results)
  if (options.json) writeFileSync(options.json, json)
  if (!short && !failed && positionals.length === 0) keep(RESULTS, json, said.join('\n'), results)
  return failed ? 1 : 0
}

async function timed(run: (progress: (words: string) => void) => Promise<Report>): Promise<Result> {
  const before = loadAverage()
  const begun = performance.now()
  const report = await run((words) => console.error(`  ${words}`))
  return { ...report, seconds: Math.round((performance.now() - begun) / 1000), load: [before, loadAverage()] }
}

/** What `dns` compares with, as far as it is to be had; CoreDNS takes minutes to build. */
async function fetchResolvers(short: boolean): Promise<void> {
  const problems = [await fetchDebian(RESOLVERS)]
  if (!short) {
    const built = await build('coredns', (line) => console.error(`  dns: ${line}`))
    problems.push(built.kind === 'built' ? null : built.hint)
  }
  for (const problem of problems) sayProblem('dns', problem)
}

function sayProblem(family: string, problem: string | null): void {
  if (problem !== null) console.error(`  ${family}: ${problem}`)
}

const FAMILIES = { core, forward, rules, overlay, join, program, change, dns, http, agents, memory }
const RESULTS = new URL('results/', import.meta.url).pathname
/** Of a short run: a machine that is busy with something else is told of, and is no failure. */
const SHORT_MAX_MS = 8.5 * 60_000
const USAGE = `usage: npm run bench [-- FAMILY... --short --json FILE]

families: ${Object.keys(FAMILIES).join(', ')}; default: all
  --short      fewer rounds and smaller sizes, within nine minutes: for CI
  --json FILE  write all figures`

process.exit(await main())

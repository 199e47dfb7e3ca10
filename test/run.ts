/**
 * Runs the checks and the tests and says how long each took: `bin/test [FAMILY | WORD ...]`.
 * Families are the checks, the folders of test/ and the native tests; other words choose test files by name.
 */
import { glob } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { check } from './runner/check.ts'
import { cargo } from './runner/cargo.ts'
import { tapFile } from './runner/tap.ts'
import { components } from './runner/components.ts'
import { add, none, type Result } from './runner/result.ts'

/** In the order in which they run: what is quick and tells most comes first. `vm`, `cluster` and `components` run only when they are named. */
const families: readonly { name: string; about: string; jobs: number }[] = [
  { name: 'unit', about: 'same input, same bytes', jobs: 2 },
  { name: 'property', about: 'incremental equals full, fake against brute force', jobs: 2 },
  { name: 'contract', about: 'one case file, every source and every target', jobs: 2 },
  { name: 'netns', about: 'a real kernel, namespaces of our own, packets sent and seen', jobs: 2 },
  { name: 'vm', about: 'a kernel that has what this one may lack, emulated', jobs: 1 },
  { name: 'cluster', about: "Kubernetes' own components", jobs: 1 },
]

async function main(words: readonly string[]): Promise<number> {
  const known = new Set(['check', 'native', 'components', ...families.map((family) => family.name)])
  const named = words.filter((word) => known.has(word))
  const filters = words.filter((word) => !known.has(word))
  const wants = (family: string): boolean =>
    named.length > 0
      ? named.includes(family)
      : !NAMED_ONLY.has(family) && (filters.length === 0 || DIRECTORIES.has(family))
  const rows: { name: string; result: Result; seconds: number }[] = []
  const run = async (name: string, about: string, body: () => Promise<Result>): Promise<void> => {
    console.log(`\n${name}: ${about}`)
    const begun = performance.now()
    const result = await body()
    rows.push({ name, result, seconds: (performance.now() - begun) / 1000 })
  }
  if (wants('check') && filters.length === 0) await run('check', 'format, types, lint, arrows, places', check)
  if (wants('components'))
    await run(
      'components',
      'a kube-apiserver, an etcd, a CoreDNS and a Pebble for the tests that talk to them',
      components,
    )
  for (const { name, about, jobs } of families) {
    if (!wants(name)) continue
    const files = (await testFiles(name)).filter(
      (file) => filters.length === 0 || filters.some((word) => file.includes(word)),
    )
    if (files.length > 0) await run(name, about, () => inParallel(files, jobs, tapFile))
  }
  if (wants('native') && filters.length === 0 && existsSync('native/Cargo.toml'))
    await run('native', 'the Rust binary', cargo)
  return report(rows)
}

async function testFiles(family: string): Promise<string[]> {
  return (await Array.fromAsync(glob(`test/${family}/**/*.test.ts`))).sort()
}

async function inParallel(
  files: readonly string[],
  jobs: number,
  body: (file: string) => Promise<Result>,
): Promise<Result> {
  const waiting = [...files]
  let total = none
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const result = await body(file) // not inside add(): the total may have grown meanwhile
      total = add(total, result)
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))
  return total
}

function report(rows: readonly { name: string; result: Result; seconds: number }[]): number {
  const total = rows.reduce((sum, row) => add(sum, row.result), none)
  console.log(
    `\n${'family'.padEnd(12)}${'passed'.padStart(8)}${'failed'.padStart(8)}${'skipped'.padStart(9)}${'seconds'.padStart(9)}`,
  )
  for (const { name, result, seconds } of rows) {
    const { passed, failed, skipped } = result
    console.log(
      `${name.padEnd(12)}${String(passed).padStart(8)}${String(failed).padStart(8)}${String(skipped).padStart(9)}${seconds.toFixed(1).padStart(9)}`,
    )
  }
  for (const line of total.failures) console.log(`failed: ${line}`)
  for (const line of total.skips) console.log(`skipped: ${line}`)
  console.log()
  const ran = total.passed + total.failed + total.skipped
  if (ran === 0) console.log('no test has this name')
  console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`)
  return total.failed === 0 && ran > 0 ? 0 : 1
}

const NAMED_ONLY = new Set(['vm', 'cluster', 'components'])
const DIRECTORIES = new Set(families.map((family) => family.name))

process.exitCode = await main(process.argv.slice(2))

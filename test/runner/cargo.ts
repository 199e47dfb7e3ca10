import { command, line, show } from './command.ts'
import { add, none, type Result } from './result.ts'

/** The tests of the Cargo workspace, and its format and lints where rustup has the components. */
export async function cargo(): Promise<Result> {
  let total = none
  for (const [name, argv] of STEPS) {
    const ran = await command(['cargo', ...argv], `.cache/test/cargo-${name}.log`, LIMIT_MS)
    const counts = [...ran.output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm)]
    const sum = (group: number): number => counts.reduce((n, match) => n + Number(match[group]), 0)
    // A component that is not installed is no failure of the code.
    const absent = /is not installed for the toolchain|no such command/.test(ran.output)
    const tests = name === 'test'
    const broken = !absent && ran.code !== 0 && sum(2) === 0 ? 1 : 0
    const result: Result = {
      passed: sum(1) + (tests || ran.code !== 0 ? 0 : 1),
      failed: sum(2) + broken,
      skipped: sum(3) + (absent ? 1 : 0),
      failures: ran.code !== 0 && !absent ? [`cargo ${name}`] : [],
      skips: absent ? [`cargo ${name}: rustup component add ${name === 'fmt' ? 'rustfmt' : 'clippy'}`] : [],
    }
    line(result.failed === 0, `cargo ${name}`, tests ? `${result.passed} passed` : absent ? 'skipped' : '', ran.seconds)
    if (result.failed > 0) show(ran.output, 'last')
    total = add(total, result)
  }
  return total
}

const WHERE = ['--manifest-path', 'native/Cargo.toml']
const BUILT = [...WHERE, '--locked', '--target-dir', 'native/target']
const STEPS: readonly (readonly [string, readonly string[]])[] = [
  ['fmt', ['fmt', '--all', '--check', ...WHERE]],
  ['clippy', ['clippy', '--workspace', '--all-targets', ...BUILT, '--', '-D', 'warnings']],
  ['test', ['test', '--workspace', '--no-fail-fast', ...BUILT]],
]
const LIMIT_MS = 15 * 60_000

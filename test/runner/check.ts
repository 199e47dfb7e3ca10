import { command, line, show } from './command.ts'
import { add, none, type Result } from './result.ts'

/** What can be said of the source without running it. Each check is one test. */
export async function check(): Promise<Result> {
  let total = none
  for (const [name, argv] of CHECKS) {
    const ran = await command(argv, `.cache/test/check-${name}.log`, LIMIT_MS)
    line(ran.code === 0, name, '', ran.seconds)
    if (ran.code !== 0) show(ran.output, 'last')
    total = add(total, ran.code === 0 ? { ...none, passed: 1 } : { ...none, failed: 1, failures: [`check ${name}`] })
  }
  return total
}

// Scripts of npm packages go through this Node, whatever `node` is on PATH.
const bin = (path: string) => [process.execPath, `node_modules/${path}`] as const
const CHECKS: readonly (readonly [string, readonly [string, ...string[]]])[] = [
  [
    'format',
    [
      ...bin('prettier/bin/prettier.cjs'),
      '--check',
      '--log-level',
      'warn',
      '--cache',
      '--cache-location',
      '.cache/prettier',
      '.',
    ],
  ],
  ['types', [...bin('typescript/bin/tsc'), '-p', '.']],
  ['lint', [...bin('oxlint/bin/oxlint'), '--deny-warnings']],
  ['arrows', [process.execPath, 'test/lint/arrows.ts']],
  ['places', [process.execPath, 'test/lint/places.ts']],
]
const LIMIT_MS = 5 * 60_000

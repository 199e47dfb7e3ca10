import { command, line, show } from './command.ts'
import { type Result } from './result.ts'

/** Runs one test file, a plain program that prints TAP, on the Node that runs us. */
export async function tapFile(file: string): Promise<Result> {
  const ran = await command(
    [process.execPath, '--disable-warning=ExperimentalWarning', file],
    `.cache/test/${file}.log`,
    LIMIT_MS,
    // Of a file that says nothing itself: tap's own 30 s are too few for a machine that does something else, too.
    { ...process.env, TAP_TIMEOUT: String(LIMIT_MS / 1000 - 30) },
  )
  const { passed, failed, skips } = readTap(ran.output)
  const died = failed === 0 && (ran.code !== 0 || passed + skips.length === 0)
  const result: Result = {
    passed,
    failed: failed + (died ? 1 : 0),
    skipped: skips.length,
    failures:
      failed > 0 ? [`${file}: ${failed} of ${passed + failed}`] : died ? [`${file}: ${why(ran.code, passed)}`] : [],
    skips: skips.map((reason) => `${file}: ${reason}`),
  }
  const count = `${passed} passed${failed > 0 ? `, ${failed} failed` : ''}${skips.length > 0 ? `, ${skips.length} skipped` : ''}`
  line(result.failed === 0, file, count, ran.seconds)
  if (failed > 0) show(failing(ran.output), 'first')
  else if (died) show(ran.output, 'last')
  return result
}

/** Counts the tests of the outermost level: a subtest is one test, whatever it asserts. */
export function readTap(output: string): { passed: number; failed: number; skips: string[] } {
  let passed = 0
  let failed = 0
  const skips: string[] = []
  for (const text of output.split('\n')) {
    const match = /^(not )?ok\b(?: +\d+)?(?: +- )?(.*)$/.exec(text)
    if (text.startsWith('Bail out!')) failed++
    if (!match) continue
    const directive = / # (skip|todo)\S*\s*(.*)$/i.exec(` ${match[2]}`)
    if (directive) skips.push(`${match[2]!.replace(/\s*# (skip|todo).*$/i, '')}: ${directive[2] || directive[1]}`)
    else if (match[1]) failed++
    else passed++
  }
  return { passed, failed, skips }
}

/** The parts of TAP output that speak of failures: `not ok` lines with what is indented below them. */
function failing(output: string): string {
  const kept: string[] = []
  let depth = -1
  for (const text of output.split('\n')) {
    const indent = text.length - text.trimStart().length
    if (/^\s*not ok\b/.test(text)) depth = indent
    else if (indent <= depth && text.trim() !== '') depth = -1
    if (depth >= 0 || /^\s*# (failed|Error)/.test(text)) kept.push(text)
  }
  return kept.join('\n')
}

const why = (code: number | null, passed: number) =>
  code === 0
    ? 'it ran no test'
    : `it ended with ${code === null ? 'a signal' : `exit code ${code}`} after ${passed} tests`

const LIMIT_MS = 10 * 60_000

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { spawn } from 'node:child_process'

export interface Ran {
  /** null: killed, by the time limit or by a signal. */
  readonly code: number | null
  /** Standard output and standard error, as they came. */
  readonly output: string
  readonly seconds: number
}

/** Runs a command to its end with its output kept in `log`. It and all it started are killed after `limitMs`. */
export async function command(
  argv: readonly [string, ...string[]],
  log: string,
  limitMs: number,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Ran> {
  const begun = performance.now()
  const [tool, ...args] = argv
  // A process group of its own, so that what hangs is killed with all its children.
  const child = spawn(tool, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env })
  running.add(child.pid ?? 0)
  const chunks: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => void chunks.push(chunk))
  const timer = setTimeout(() => {
    chunks.push(Buffer.from(`\n(killed: it took longer than ${limitMs / 1000} s)\n`))
    killGroup(child.pid)
  }, limitMs)
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      chunks.push(Buffer.from(`${error.message}\n`))
      resolve(127)
    })
    child.once('close', resolve)
  })
  clearTimeout(timer)
  running.delete(child.pid ?? 0)
  const output = Buffer.concat(chunks).toString('utf8')
  await mkdir(dirname(log), { recursive: true })
  await writeFile(log, output)
  return { code, output, seconds: (performance.now() - begun) / 1000 }
}

/** One line on what ran: a mark, its name, how many, how long. */
export function line(ok: boolean, name: string, count: string, seconds: number): void {
  console.log(
    `  ${ok ? 'ok    ' : 'FAILED'} ${name.padEnd(46)} ${count.padEnd(22)} ${seconds.toFixed(1).padStart(6)} s`,
  )
}

/** The first or the last lines of what a failed command said, indented. */
export function show(output: string, which: 'first' | 'last', count = 40): void {
  const all = output.trim().split('\n')
  const left = all.length - count
  if (left > 0 && which === 'last') console.log(`      | ... ${left} lines before`)
  for (const text of which === 'first' ? all.slice(0, count) : all.slice(-count))
    console.log(`      | ${text.slice(0, 300)}`)
  if (left > 0 && which === 'first') console.log(`      | ... ${left} lines after`)
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}

const running = new Set<number>()
const end = (): never => {
  for (const pid of running) killGroup(pid)
  process.exit(130)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, end)
process.stdout.once('error', end) // nobody reads on: `npm test | head`

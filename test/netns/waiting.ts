import type { ChildProcess } from 'node:child_process'

/** Waits for what must come true, looking again and again. What `done` throws ends the waiting. */
export async function until(
  what: string,
  done: () => boolean | Promise<boolean>,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const deadline = performance.now() + deadlineMs
  while (!(await done())) {
    if (performance.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Its exit code; null: a signal ended it. */
export function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode)
  return new Promise((resolve) => child.once('close', (code) => resolve(code)))
}

/** Nothing waits so long that comes true: only a machine at its limit gets near. */
const DEADLINE_MS = 60_000

import { spawn } from 'node:child_process'
import { request } from 'node:http'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { FakeCarrier } from '../unit/carrier-world.ts'

/** `fairlead ingress` as a process of its own; status on a socket in `at`. Killed with the test. */
export function start(t: Test, at: string, args: readonly string[]) {
  const status = join(at, 'status.sock')
  const main = join(import.meta.dirname, '../../src/main.ts')
  const all = [
    main,
    'ingress',
    ...args,
    '--name',
    'pod',
    '--namespace',
    'x',
    '--status-bind-address',
    status,
    '--log',
    'debug,json',
  ]
  const child = spawn(process.execPath, all, { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
  return { child, ask: (path: string) => ask(status, path), said: () => said }
}

/** Status and body; 0: nobody answers. */
const ask = (socketPath: string, path: string): Promise<[number, string]> =>
  new Promise((resolve) => {
    const asked = request({ socketPath, path }, (answer) => {
      let body = ''
      answer.on('data', (chunk: Buffer) => (body += chunk.toString()))
      answer.on('end', () => resolve([answer.statusCode!, body]))
    })
    asked.on('error', () => resolve([0, '']))
    asked.end()
  })

/** Of the rows that a carrier holds, sorted. */
export const keys = (carrier: FakeCarrier, table: string): string[] =>
  [...(carrier.tables.get(table)?.rows.keys() ?? [])].sort()

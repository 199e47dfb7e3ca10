/** The SCTP of a peer (see peer.ts): Node has none, so the carrier answers and asks. */
import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { carrier } from '../../src/kernel/carrier.ts'
import { start } from '../../src/kernel/exec.ts'
import type { Answer, Send } from './peer.ts'

/** Has the kernel loaded SCTP? Then every namespace says so here. */
export const hasSctp = (): boolean => existsSync('/proc/net/sctp')

/** Answers on the ports until this process ends. `addresses`: who is told to answer, one address a family. */
export async function answerSctp(ports: readonly number[], addresses: readonly string[]): Promise<void> {
  if (ports.length === 0) return
  const listens = ports.flatMap((port) => ['--listen', `sctp:${port}`])
  const child = start(['setpriv', '--pdeathsig', 'KILL', carrier, 'echo', ...listens], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, POD_NAME: addresses.join(' ') },
  })
  // It says so when it listens; when it cannot, it says why on our standard error and ends.
  for await (const _ of createInterface({ input: child.stdout! })) return
  throw new Error('nobody answers SCTP')
}

/** One connection, asked who it reached. */
export function sendSctp({ from, to, port, waitMs }: Send, silenceMs: number): Promise<Answer> {
  prober ??= startProber()
  const id = next++
  const data = 'GET / HTTP/1.0\r\nAccept: application/json\r\n\r\n'
  const answer = new Promise<Answer>((resolve) => waiting.set(id, resolve))
  const question = { id, type: 'sctp', host: to, port, from, data, timeoutMs: waitMs ?? silenceMs }
  prober.stdin!.write(JSON.stringify(question) + '\n')
  return answer
}

function startProber(): ChildProcess {
  const child = start(['setpriv', '--pdeathsig', 'KILL', carrier, 'probe'], { stdio: ['pipe', 'pipe', 'inherit'] })
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const { id, ok, detail } = JSON.parse(line) as { id: number; ok: boolean; detail: string }
    waiting.get(id)?.(ok ? answered(detail) : REFUSED.test(detail) ? { kind: 'refused' } : { kind: 'silent' })
    waiting.delete(id)
  })
  return child
}

/** The page of echo: its name is its addresses, as the local end of an association may be unspecified. */
function answered(page: string): Answer {
  const { pod, local, peer } = JSON.parse(page.slice(page.indexOf('\r\n\r\n'))) as Record<string, string>
  const six = peer!.startsWith('[')
  const by = pod!.split(' ').find((address) => address.includes(':') === six) ?? 'nobody'
  const port = local!.slice(local!.lastIndexOf(':'))
  return { kind: 'answered', by: `${six ? `[${by}]` : by}${port}`, seen: peer!.replace(/^\[|\]?:\d+$/g, '') }
}

let prober: ChildProcess | null = null
let next = 1
const waiting = new Map<number, (answer: Answer) => void>()
const REFUSED = /Connection (refused|reset)|os error 103|Protocol not available/ // 103: ECONNABORTED

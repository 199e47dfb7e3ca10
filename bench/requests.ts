/** What is asked of proxies, by h2load(1) and openssl-s_time(1), and what it cost them. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { cpuOf } from './machine.ts'
import type { Unpacked } from './debian.ts'
import { CLIENT_CORE, pinned } from './pinned.ts'
import { GRPC_MESSAGE, type Proxy } from './proxies.ts'
import { processesOf } from './queries.ts'
import { quantile } from './report.ts'

export interface Asking {
  readonly protocol: 'http' | 'https'
  readonly http2?: boolean
  /** At once; and on each so many requests. */
  readonly connections: number
  readonly streams?: number
  readonly path: string
  readonly host?: string
  readonly grpc?: boolean
  /** A second, of all connections; without it, as many as are answered. */
  readonly rate?: number
  readonly seconds: number
}

export interface Answers {
  readonly count: number
  readonly rate: number
  /** CPU of the proxy, user and system, for each. */
  readonly cpuUs: number
  /** At a fixed rate only. */
  readonly p50Us: number
  readonly p99Us: number
  /** Without an answer, or one that is not 2xx. */
  readonly failed: number
}

/** From CLIENT_CORE. Throws when nothing is answered. */
export async function ask(proxy: Proxy, asking: Asking, debian: Unpacked): Promise<Answers> {
  const { protocol, http2, connections, streams = 1, path, host = 'bench.example', grpc, rate, seconds } = asking
  const log = '/run/bench-http-log'
  rmSync(log, { force: true }) // h2load adds to it
  const words = [
    ...['--clients', `${connections}`, '--max-concurrent-streams', `${streams}`, '--duration', `${seconds}`],
    ...(http2 ? [] : ['--h1']),
    `--connect-to=127.0.0.1:${proxy.ports[protocol]}`,
    ...(grpc
      ? ['--header', 'content-type: application/grpc', '--header', 'te: trailers', '--data', messageFile()]
      : []),
    ...(rate === undefined ? [] : ['--rps', `${rate / connections}`, '--log-file', log]),
    `${protocol}://${host}:${proxy.ports[protocol]}${path}`,
  ]
  const cpu = watch(proxy)
  const said = await client([debian.path('h2load'), ...words], debian)
  const [cpuSeconds] = [cpu()]
  const [, count, failed] = /requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed/.exec(said) ?? []
  const [, good] = /status codes: (\d+) 2xx/.exec(said) ?? []
  const [, perSecond] = /finished in .*?, ([\d.]+) req\/s/.exec(said) ?? []
  if (count === undefined || good === undefined || Number(good) === 0)
    throw new Error(`${proxy.who} answers nothing: ${said}`)
  const times = rate === undefined ? [] : timesOf(log)
  return {
    ...{ count: Number(count), rate: Number(perSecond), cpuUs: (cpuSeconds * 1e6) / Number(count) },
    ...{ p50Us: quantile(times, 0.5), p99Us: quantile(times, 0.99) },
    failed: Number(failed) + Math.max(0, Number(count) - Number(good)),
  }
}

/** Connections one after the other, each with a handshake and a request; `resumed`: of a session that began before. */
export async function shakeHands(proxy: Proxy, resumed: boolean, seconds: number, debian: Unpacked): Promise<Answers> {
  const words = [
    ...['s_time', '-connect', `127.0.0.1:${proxy.ports.https}`, '-www', '/', '-tls1_3', '-time', `${seconds}`],
    resumed ? '-reuse' : '-new',
  ]
  const cpu = watch(proxy)
  const said = await client([debian.path('openssl'), ...words], debian)
  const cpuSeconds = cpu()
  const [, count, real] = /(\d+) connections in (\d+) real seconds/.exec(said) ?? []
  if (count === undefined || Number(count) === 0) throw new Error(`${proxy.who} shakes no hands: ${said}`)
  // A letter for each: r of a resumed session, else *.
  const marks = said.match(/[r*t]{20,}/)?.[0] ?? ''
  const wrong = [...marks].filter((mark) => (mark === 'r') !== resumed).length
  return {
    ...{ count: Number(count), rate: Number(count) / Number(real), cpuUs: (cpuSeconds * 1e6) / Number(count) },
    ...{ p50Us: NaN, p99Us: NaN, failed: Math.max(0, wrong - 1) },
  }
}

/** CPU seconds since. */
function watch({ process: { pid } }: Proxy): () => number {
  const pids = processesOf(pid!)
  const cpu = (): number => pids.reduce((sum, each) => sum + cpuOf(each), 0)
  const before = cpu()
  return () => cpu() - before
}

async function client(words: readonly string[], { env }: Unpacked): Promise<string> {
  return text(pinned(CLIENT_CORE, words, { stdout: 'pipe', env }).stdout!)
}

/** Start (us since the epoch), status, us. */
const timesOf = (log: string): number[] =>
  readFileSync(log, 'utf8')
    .split('\n')
    .map((line) => Number(line.split('\t')[2]))
    .filter((us) => us > 0)

function messageFile(): string {
  writeFileSync('/run/bench-http-message', GRPC_MESSAGE)
  return '/run/bench-http-message'
}

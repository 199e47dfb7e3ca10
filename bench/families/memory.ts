/** The shipped agent on an API server of 10,000 Services and 100,000 endpoints: memory when settled, and at its peak. */
import { createInterface } from 'node:readline'
import { start } from '../../src/kernel/exec.ts'
import { createStore } from '../../src/lab/api/create.ts'
import { createApiServer } from '../../src/lab/api/server.ts'
import { ip, within } from '../../test/netns/world.ts'
import { NODE, servicesOf, sliceOf, slicesOf, type Size } from '../cluster.ts'
import { memoryOf, type Memory } from '../machine.ts'
import { median, type Report } from '../report.ts'

/** Quiet again after a full load and some changes; the helpers are those that stay, nft channel and monitor. */
interface Settled extends Memory {
  /** From start to all programmed. */
  readonly readySeconds: number
}

export async function memory(short: boolean, progress: (words: string) => void): Promise<Report> {
  const size: Size = { services: 10_000, endpoints: 10 }
  const store = createStore({ ranges: { clusterCIDRs: ['10.96.0.0/12', 'fd00:10:96::/112'] } })
  for (const object of [NODE, ...servicesOf(size), ...slicesOf(size)]) {
    const outcome = store.create(object)
    if (!outcome.ok) throw new Error(JSON.stringify(outcome.failure))
  }
  const server = createApiServer(store)
  await new Promise<void>((resolve) => server.listen({ path: SOCKET }, resolve))
  const update = (round: number): void => {
    const next = sliceOf(size, (round * 7919) % size.services, 4, `10.120.${round >> 8}.${round & 255}`)
    const { uid: _, resourceVersion: __, ...metadata } = next['metadata'] as Record<string, unknown>
    const outcome = store.update({ ...next, metadata })
    if (!outcome.ok) throw new Error(JSON.stringify(outcome.failure))
  }
  const variants = { 'as shipped': '', ...extraVariants() }
  const rounds = short ? 1 : 3
  progress('memory: a first start, so that compiled code is at hand as on every later one')
  const first = await measure('', update, 0)
  const results = new Map<string, Settled[]>(Object.keys(variants).map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, variant] of Object.entries(variants)) {
      progress(`memory: round ${round + 1} of ${rounds}, ${name}`)
      results.get(name)!.push(await measure(variant, update, short ? 25 : 30))
    }
  }
  server.closeAllConnections()
  server.close()
  const of = (name: string, field: keyof Settled): number => median(results.get(name)!.map((each) => each[field]))
  const fields = ['rssMB', 'ownMB', 'peakMB', 'helpersMB', 'readySeconds'] as const
  return {
    tables: [
      {
        title: 'memory: fairlead agent, 10,000 services, 100,000 endpoints, MB',
        columns: ['agent', 'settled RSS', 'of it private', 'peak RSS', 'native helpers', 'ready after s'],
        rows: [...results.keys()].map((name) => [name, ...fields.map((field) => of(name, field))]),
      },
    ],
    checks: [{ what: 'settled RSS', value: of('as shipped', 'rssMB'), unit: 'MB', target: { below: 150 } }],
    charts: {},
    notes: [
      `A start before these, which compiles if it was the first of this installation: peak ${Math.round(first.peakMB)} MB.`,
      'Settled: after the full load, 200 changes, the first audit and a quiet time; no help from outside.',
    ],
  }
}

/** FAIRLEAD_BENCH_AGENT="--a --b;NAME=value": other flags of Node, or variables, to compare. */
function extraVariants(): Record<string, string> {
  const text = process.env['FAIRLEAD_BENCH_AGENT'] ?? ''
  return Object.fromEntries(
    text
      .split(';')
      .filter(Boolean)
      .map((words) => [words, words]),
  )
}

/** The command as shipped; or, for a variant, Node with its flags. */
function agentOf(variant: string): { readonly command: readonly string[]; readonly env: NodeJS.ProcessEnv } {
  const path = (name: string): string => new URL(`../../${name}`, import.meta.url).pathname
  const words = variant.split(' ').filter(Boolean)
  const variables = words.filter((word) => !word.startsWith('-')).map((word) => word.split('=', 2) as [string, string])
  const flags = words.filter((word) => word.startsWith('-'))
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', ...flags, path('src/main.ts')]
  return {
    command: variant === '' ? [path('bin/fairlead')] : node,
    env: { ...process.env, ...Object.fromEntries(variables) },
  }
}

async function measure(variant: string, update: (round: number) => void, quietSeconds: number): Promise<Settled> {
  const namespace = `m-${serial++}`
  await ip(`netns add ${namespace}`, `-n ${namespace} link set lo up`)
  const { command, env } = agentOf(variant)
  const flags = ['agent', '--node', 'n1', '--state-dir', `/run/bench-${serial}`, '--log', 'debug,json']
  const words = [...within(namespace), ...command, ...flags, '--api-server', `unix://${SOCKET}`]
  const ending = new AbortController()
  const begun = performance.now()
  const child = start(words as [string, ...string[]], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
    signal: ending.signal,
  })
  child.once('error', () => {}) // aborted
  const ended = new Promise((resolve) => child.once('close', resolve))
  const lines: string[] = []
  const ready = new Promise<void>((resolve, reject) => {
    const hear = (line: string): void => {
      lines.push(line.slice(0, 300))
      if (/"put":\d{5,}/.test(line)) resolve()
    }
    for (const stream of [child.stdout!, child.stderr!]) createInterface({ input: stream }).on('line', hear)
    child.once('close', () => reject(new Error(`the agent ended: ${lines.slice(-5).join('\n')}`)))
    setTimeout(() => reject(new Error(`not ready: ${lines.slice(-5).join('\n')}`)), READY_MAX_MS).unref()
  })
  try {
    await ready
    const readySeconds = (performance.now() - begun) / 1000
    for (let round = 0; round < CHANGES; round++) {
      update(round)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await new Promise((resolve) => setTimeout(resolve, quietSeconds * 1000))
    return { ...memoryOf(child.pid!), readySeconds }
  } finally {
    ending.abort()
    await ended
    await ip(`netns del ${namespace}`)
  }
}

const SOCKET = '/run/bench-api.sock'
const CHANGES = 200
const READY_MAX_MS = 120_000
let serial = 0

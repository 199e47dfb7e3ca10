/** A node that joins a cluster of many: the shipped agent, or the same entries by hand, in a network namespace of its own. */
import { createInterface } from 'node:readline'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { hearKernel } from '../src/kernel/events.ts'
import { start } from '../src/kernel/exec.ts'
import { runBatch, type IpTool } from '../src/kernel/ip.ts'
import { createStore } from '../src/lab/api/create.ts'
import { createApiServer } from '../src/lab/api/server.ts'
import type { KernelEvent } from '../src/overlay/netlink/awaited.ts'
import { childCpu, cpuOf } from './machine.ts'
import { endsOf, linkAddress, nodeOf, type Ends, type Families } from './nodes.ts'

export interface Cluster {
  readonly peers: number
  readonly families: Families
  /** How many join later, one after the other. */
  readonly more: number
}

export interface Joined {
  /** Entries: routes, neighbours, forwarding entries. */
  readonly entries: number
  /** From the agent's first request for the list of nodes, until the kernel has said that the last entry is there. */
  readonly listedMs: number
  /** The same from the start of the process; by hand there is none. */
  readonly startedMs: number
  /** Of the agent and the tools it ran, in both times. */
  readonly listedCpuMs: number
  readonly startedCpuMs: number
  /** Each from the moment that the API server has the node, until the kernel has said the last of its entries. */
  readonly moreMs: readonly number[]
}

/** In a namespace with an interface that has this node's addresses (`endsOf` 0). */
export async function joinByAgent({ peers, families, more }: Cluster): Promise<Joined> {
  const ending = new AbortController()
  const kernel = await listen(ending.signal)
  const store = createStore()
  const create = (i: number): void => {
    const outcome = store.create(nodeOf(i, families))
    if (!outcome.ok) throw new Error(JSON.stringify(outcome.failure))
  }
  for (let i = 0; i <= peers; i++) create(i)
  const socket = `/run/bench-join-${process.pid}.sock`
  const server = createApiServer(store)
  const asked = new Promise<{ at: number; cpuMs: number }>((resolve) =>
    server.on('request', ({ url }) => {
      if (/^\/api\/v1\/nodes\b/.test(url ?? '')) resolve({ at: performance.now(), cpuMs: agentCpuMs() })
    }),
  )
  await new Promise<void>((resolve) => server.listen({ path: socket }, resolve))
  const programmed = kernel.until(Array.from({ length: peers }, (_, i) => entriesOf(i + 1, families)).flat())
  const paths = ['--state-dir', '', '--subnet-env', `/run/bench-join-${process.pid}/subnet.env`]
  const words = ['agent', '--node', 'n0', '--api-server', `unix://${socket}`, '--overlay', 'vxlan', ...paths]
  const begun = performance.now()
  const child = start([FAIRLEAD, ...words], { stdio: ['ignore', 'ignore', 'pipe'] })
  const agentCpuMs = (): number => cpuOf(child.pid!, 'and its children') * 1000
  let tail = ''
  createInterface({ input: child.stderr! }).on('line', (line) => (tail = `${tail}${line}\n`.slice(-2000)))
  const closed = once(child, 'close')
  const orEnded = <T>(work: Promise<T>): Promise<T> =>
    Promise.race([work, closed.then(() => Promise.reject(new Error(`the agent ended: ${tail}`)))])
  try {
    const [first, last] = await orEnded(Promise.all([asked, programmed]))
    const startedCpuMs = agentCpuMs()
    const moreMs: number[] = []
    for (let i = peers + 1; i <= peers + more; i++) {
      await pause()
      const there = kernel.until(entriesOf(i, families))
      const created = performance.now()
      create(i)
      moreMs.push((await orEnded(there)) - created)
    }
    return {
      ...{ entries: peers * entriesOf(1, families).length, moreMs },
      ...{ listedMs: last - first.at, startedMs: last - begun },
      ...{ listedCpuMs: startedCpuMs - first.cpuMs, startedCpuMs },
    }
  } finally {
    child.kill('SIGKILL')
    await closed
    server.closeAllConnections()
    server.close()
    ending.abort()
    rmSync(socket, { force: true })
  }
}

/** The limit: finished texts for `ip -batch` and `bridge -batch`, in the order that no packet is routed to nowhere. */
export async function joinByHand({ peers, families, more }: Cluster): Promise<Joined> {
  await run('ip', endsOf(0, families).flatMap(deviceOf))
  const add = async (from: number, count: number): Promise<{ ms: number; cpuMs: number; entries: number }> => {
    const texts = textsOf(from, count, families)
    const [before, begun] = [childCpu(), performance.now()]
    for (const [tool, commands] of texts) await run(tool, commands)
    const [ms, after] = [performance.now() - begun, childCpu()]
    const cpuMs = after.userMs + after.systemMs - before.userMs - before.systemMs
    return { ms, cpuMs, entries: texts.reduce((sum, [, commands]) => sum + commands.length, 0) }
  }
  const { ms, cpuMs, entries } = await add(1, peers)
  const moreMs: number[] = []
  for (let i = peers + 1; i <= peers + more; i++) moreMs.push((await add(i, 1)).ms)
  return { entries, listedMs: ms, startedMs: NaN, listedCpuMs: cpuMs, startedCpuMs: NaN, moreMs }
}

type Kernel = { readonly until: (wanted: readonly string[]) => Promise<number> }

/** `until`: resolves with the time at which the kernel had told of all, once at a time. It hears from when this returns. */
async function listen(signal: AbortSignal): Promise<Kernel> {
  const ready = Promise.withResolvers<void>()
  let left = new Set<string>()
  let done = Promise.withResolvers<number>()
  void hearKernel({
    flags: ['--route', '--neighbour'],
    signal,
    onEnd: (why) => done.reject(new Error(`the kernel is not heard: ${why}`)),
    onEvent: (event) => {
      const told = event as KernelEvent
      if (told.event === 'ready') ready.resolve()
      if (told.event === 'overrun') done.reject(new Error('the kernel told more than was heard'))
      if (left.delete(entryOf(told)) && left.size === 0) done.resolve(performance.now())
    },
  })
  await ready.promise
  return {
    until(wanted) {
      left = new Set(wanted)
      const { promise, reject } = (done = Promise.withResolvers())
      const missing = (): string => [...left].slice(0, 3).join(', ')
      const timer = setTimeout(
        () => reject(new Error(`${left.size} entries are missing: ${missing()}`)),
        PROGRAMMED_MAX_MS,
      )
      return promise.finally(() => clearTimeout(timer))
    },
  }
}

/** What `Kernel.until` waits for to reach one node. */
export const entriesOf = (i: number, families: Families): readonly string[] =>
  endsOf(i, families).flatMap(({ address, range, vtep }) => [`route ${range}`, `neighbour ${vtep}`, `fdb ${address}`])

/** '': of none that is waited for. */
export function entryOf(event: KernelEvent): string {
  if (event.event === 'route' && event.op === 'new') return `route ${event.destination}/${event.prefixLength}`
  if (event.event !== 'neighbour' || event.op !== 'new') return ''
  return `${event.family === 'bridge' ? 'fdb' : 'neighbour'} ${event.address}`
}

/** Commands to reach nodes `from` and the next ones, by hand. */
export function textsOf(
  from: number,
  count: number,
  families: Families,
): readonly (readonly [IpTool, readonly string[]])[] {
  const peers = Array.from({ length: count }, (_, i) =>
    endsOf(from + i, families).map((end) => ({ ...end, mac: linkAddress(from + i, end), dev: deviceName(end) })),
  ).flat()
  return [
    ['ip', peers.map(({ vtep, mac, dev }) => `neigh add ${vtep} lladdr ${mac} dev ${dev} nud permanent`)],
    ['bridge', peers.map(({ mac, dev, address }) => `fdb add ${mac} dev ${dev} dst ${address} self permanent`)],
    ['ip', peers.map(({ range, vtep, dev }) => `route add ${range} via ${vtep} dev ${dev} onlink`)],
  ]
}

function deviceOf(end: Ends): readonly string[] {
  const name = deviceName(end)
  const type = `type vxlan id 1 local ${end.address} dev eth0 dstport 8472 nolearning`
  const own = `${end.vtep}/${end.vtep.includes(':') ? '128 nodad' : 32}`
  return [
    `link add ${name} address ${linkAddress(0, end)} ${type}`,
    `link set ${name} up`,
    `addr add ${own} dev ${name}`,
  ]
}

const deviceName = ({ vtep }: Ends): string => (vtep.includes(':') ? 'vxlan6' : 'vxlan4')

async function run(tool: IpTool, commands: readonly string[]): Promise<void> {
  const failures = await runBatch(tool, commands)
  for (const [at, reason] of failures) throw new Error(`${tool} ${commands[at]}: ${reason}`)
}

/** Lets the last one end also where nothing is waited for: egress, subnet.env, the guard. */
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50))

const FAIRLEAD = new URL('../bin/fairlead', import.meta.url).pathname
const PROGRAMMED_MAX_MS = 240_000

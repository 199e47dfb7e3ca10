/**
 * A client, a node and a backend of their own for each thing compared, so that all stay programmed and rounds can take turns:
 *
 *   c-NAME 10.127.1.2 ── n-NAME (the rules, if any) ── b-NAME 10.127.0.2
 *   pods 10.244.1.0/24                                 endpoints 10.128.0.0/10
 *   not pods 10.245.1.0/24
 *
 * A namespace answers for every address of its range, so any number of endpoints is there.
 */
import { createInterface } from 'node:readline'
import { writeFileSync } from 'node:fs'
import { carrier } from '../src/kernel/carrier.ts'
import { start } from '../src/kernel/exec.ts'
import { inside, ip, within } from '../test/netns/world.ts'
import { BACKEND_PORT } from './cluster.ts'
import { cpuOf, watchCpu } from './machine.ts'

export interface Load {
  readonly connections: number
  readonly failed: number
  /** Connections a second. */
  readonly rate: number
  readonly p99Us: number
  /**
   * CPU of client and server per connection: nearly all that the kernel does for a packet on its way through the three
   * namespaces, it does in the name of the process that sent it.
   */
  readonly cpuUs: number
  /** The client's part of that. */
  readonly clientUs: number
  /** Of the whole machine, whoever else was at work included; and in soft interrupts. */
  readonly machineUs: number
  readonly softirqUs: number
}

export class Lane {
  readonly node: string
  readonly #name: string
  readonly #stop = new AbortController()
  #server = 0

  private constructor(name: string) {
    this.#name = name
    this.node = `n-${name}`
  }

  static async open(name: string): Promise<Lane> {
    const lane = new Lane(name)
    const [client, node, backend] = [`c-${name}`, `n-${name}`, `b-${name}`] as const
    await ip(
      ...[client, node, backend].flatMap((each) => [`netns add ${each}`, `-n ${each} link set lo up`]),
      ...wire(node, client, 'client', '10.127.1', `${PODS}.0/24`, `${OUTSIDERS}.0/24`),
      ...wire(node, backend, 'backend', '10.127.0', '10.128.0.0/10'),
    )
    await inside(node, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
    // Many short connections: neither source ports nor remembered flows may run out.
    await inside(client, 'sysctl', '-qw', 'net.ipv4.ip_local_port_range=1024 65535')
    await inside(node, 'sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_timeout_close=1')
    await lane.#serve(backend)
    return lane
  }

  /** Connects as fast as it can, from eight threads, each time to one of `places` (IP:PORT) at random. */
  async load(seconds: number, places: readonly string[], who: 'pods' | 'outsiders' = 'pods'): Promise<Load> {
    writeFileSync(PLACES, places.join('\n'))
    const from = Array.from({ length: CLIENTS }, (_, i) => `${who === 'pods' ? PODS : OUTSIDERS}.${i + 10}`).join(',')
    const flags = ['--to', `@${PLACES}`, '--from', from, '--random', '--threads', '8', '--seconds', `${seconds}`]
    const before = cpuOf(this.#server)
    const busy = watchCpu()
    const text = await inside(`c-${this.#name}`, carrier, 'load', 'connect', ...flags)
    const { seconds: busySeconds, softirqSeconds } = busy()
    const serverSeconds = cpuOf(this.#server) - before
    const told = JSON.parse(text) as Record<'connections' | 'failedTotal' | 'cps' | 'p99Us' | 'cpuSeconds', number>
    if (told.connections === 0) throw new Error(`nothing gets through ${this.node}: ${text.trim()}`)
    const each = (seconds: number): number => (seconds * 1e6) / told.connections
    return {
      ...{ connections: told.connections, failed: told.failedTotal, rate: told.cps, p99Us: told.p99Us },
      ...{ cpuUs: each(told.cpuSeconds + serverSeconds), clientUs: each(told.cpuSeconds) },
      ...{ machineUs: each(busySeconds), softirqUs: each(softirqSeconds) },
    }
  }

  close(): void {
    this.#stop.abort()
  }

  async #serve(backend: string): Promise<void> {
    const command = [...within(backend), carrier, 'load', 'serve', '--listen', `tcp:${BACKEND_PORT}`, '--threads', '8']
    const { signal } = this.#stop
    const child = start(command as [string, ...string[]], { stdio: ['ignore', 'pipe', 'inherit'], signal })
    child.once('error', () => {}) // aborted
    this.#server = child.pid! // `ip netns exec` becomes it
    for await (const line of createInterface({ input: child.stdout! })) if (line.includes('ready')) return
    throw new Error(`no server in ${backend}`)
  }
}

function wire(node: string, end: string, device: string, net: string, ...ranges: string[]): string[] {
  return [
    `link add ${device} netns ${node} type veth peer name eth0 netns ${end}`,
    `-n ${node} addr add ${net}.1/30 dev ${device}`,
    `-n ${end} addr add ${net}.2/30 dev eth0`,
    `-n ${node} link set ${device} up`,
    `-n ${end} link set eth0 up`,
    `-n ${end} route add default via ${net}.1`,
    ...ranges.map((range) => `-n ${end} route add local ${range} dev lo`),
    ...ranges.map((range) => `-n ${node} route add ${range} via ${net}.2`),
  ]
}

/** Addresses that connections come from. */
const CLIENTS = 16
const PODS = '10.244.1'
const OUTSIDERS = '10.245.1'
const PLACES = '/run/bench-places'

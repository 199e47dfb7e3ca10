/**
 * A client, a node and a backend of their own for each thing compared, so that all stay programmed and rounds can take turns:
 *
 *   c-NAME 10.127.1.2 ── n-NAME (the rules, if any) ── b-NAME 10.127.0.2
 *   pods 10.244.1.0/24                                 endpoints 10.128.0.0/10
 *   not pods 10.245.1.0/24
 *
 * A namespace answers for every address of its range, so any number of endpoints is there.
 */
import { writeFileSync } from 'node:fs'
import { inside, ip } from '../test/netns/world.ts'
import { BACKEND_PORT } from './cluster.ts'
import { connecting, generate, serve, type Cost, persist } from './generator.ts'

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
    lane.#server = await serve(backend, ['--listen', `tcp:${BACKEND_PORT}`, '--threads', '8'], lane.#stop.signal)
    return lane
  }

  /** Connects as fast as it can, from eight threads, each time to one of `places` (IP:PORT) at random. */
  async load(seconds: number, places: readonly string[], who: 'pods' | 'outsiders' = 'pods'): Promise<Load> {
    writeFileSync(PLACES, places.join('\n'))
    const from = Array.from({ length: CLIENTS }, (_, i) => `${who === 'pods' ? PODS : OUTSIDERS}.${i + 10}`)
    const words = connecting(seconds, `@${PLACES}`, from)
    return persist(async () => {
      const { told, cost } = await generate<Connected>(`c-${this.#name}`, this.#server, words)
      if (told.connections === 0) throw new Error(`nothing gets through ${this.node}: ${JSON.stringify(told)}`)
      return loadOf(told, cost)
    })
  }

  close(): void {
    this.#stop.abort()
  }
}

type Connected = 'connections' | 'failedTotal' | 'cps' | 'p99Us'

/** Of what `load connect` told, and what that cost. */
function loadOf(told: Readonly<Record<Connected, number>>, cost: Cost): Load {
  const each = (seconds: number): number => (seconds * 1e6) / told.connections
  return {
    ...{ connections: told.connections, failed: told.failedTotal, rate: told.cps, p99Us: told.p99Us },
    ...{ cpuUs: each(cost.client + cost.server), clientUs: each(cost.client) },
    ...{ machineUs: each(cost.machine), softirqUs: each(cost.softirq) },
  }
}

/** A namespace behind a node by a wire, which answers for every address of `ranges`. */
export function wire(node: string, end: string, device: string, net: string, ...ranges: string[]): string[] {
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

/**
 * Two nodes and a pod on each, for each way to connect them, so that all stay connected and rounds can take turns:
 *
 *   pa-NAME 10.127.1.2 ── a-NAME 172.30.0.11 ────── 172.30.0.12 b-NAME ── 10.127.2.2 pb-NAME
 *   10.244.1.0/24                 or fd00:172:30::11, ::12                 10.244.2.0/24
 *
 * A pod's namespace answers for every address of its node's range. Nothing carries packets between the nodes yet.
 */
import type { ChildProcess } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { inside, ip } from '../test/netns/world.ts'
import { BACKEND_PORT } from './cluster.ts'
import { generate, serve, persist } from './generator.ts'
import { wire } from './lane.ts'
import { cpuOf } from './machine.ts'
import { sampleOf, wordsOf, type Measure, type Sample, type Told } from './measure.ts'

export type Family = 4 | 6

/** Its number is in all its addresses. */
export interface Node {
  readonly number: 1 | 2
  readonly namespace: string
}

export class Pair {
  readonly nodes: readonly [Node, Node]
  /** They run while their pair is measured, and at no other time: so each pays for its own. */
  agents: readonly ChildProcess[] = []
  readonly #pods: readonly [string, string]
  readonly #stop = new AbortController()
  #echo = 0
  #sink = 0

  private constructor(name: string) {
    this.nodes = [
      { number: 1, namespace: `a-${name}` },
      { number: 2, namespace: `b-${name}` },
    ]
    this.#pods = [`pa-${name}`, `pb-${name}`]
  }

  /** `mtu`: of the pods. */
  static async open(name: string, underlay: Family, mtu: number): Promise<Pair> {
    const pair = new Pair(name)
    const [client, server] = pair.#pods
    const [a, b] = pair.nodes
    await ip(
      ...[a.namespace, b.namespace, client, server].flatMap((each) => [
        `netns add ${each}`,
        `-n ${each} link set lo up`,
      ]),
      `link add ${UNDERLAY} netns ${a.namespace} type veth peer name ${UNDERLAY} netns ${b.namespace}`,
      ...pair.nodes.flatMap(({ number, namespace }, i) => [
        `-n ${namespace} addr add ${address(number, underlay)}/${underlay === 4 ? 24 : '64 nodad'} dev ${UNDERLAY}`,
        `-n ${namespace} link set ${UNDERLAY} up`,
        ...wire(namespace, pair.#pods[i]!, 'pod', `10.127.${number}`, range(number)),
        `-n ${namespace} link set pod mtu ${mtu}`,
        `-n ${pair.#pods[i]} link set eth0 mtu ${mtu}`,
      ]),
    )
    for (const { namespace } of pair.nodes) {
      await inside(namespace, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
      await inside(namespace, 'sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_timeout_close=1')
    }
    await inside(client, 'sysctl', '-qw', 'net.ipv4.ip_local_port_range=1024 65535')
    const { signal } = pair.#stop
    pair.#echo = await serve(server, ['--listen', `tcp:${BACKEND_PORT}`, '--threads', '8'], signal)
    const sinks = ['--listen', `tcp:${SINK_PORT}`, '--listen', `udp:${SINK_PORT}`]
    pair.#sink = await serve(server, ['--sink', '--threads', '1', ...sinks], signal)
    return pair
  }

  /** One after the other, each for so long. */
  async measure<M extends Measure>(all: readonly M[], seconds: number): Promise<Readonly<Record<M, Sample>>> {
    for (const agent of this.agents) agent.kill('SIGCONT')
    try {
      // What was due while they were stopped is nobody's to pay for.
      if (this.agents.length > 0) await wait(RESUMED_MS)
      const samples = {} as Record<M, Sample>
      for (const what of all) samples[what] = await persist(() => this.#measure(what, seconds))
      return samples
    } finally {
      for (const agent of this.agents) agent.kill('SIGSTOP')
    }
  }

  /** Once this returns, pods reach each other. */
  async settle(): Promise<void> {
    for (let tries = 0; ; tries++) {
      const result = await this.measure(['connect'], 0.2).catch((error: Error) => error)
      if (!(result instanceof Error)) return
      if (tries === TRIES_MAX) throw result
      await wait(100)
    }
  }

  close(): void {
    this.#stop.abort()
    for (const agent of this.agents) agent.kill('SIGKILL')
  }

  async #measure(what: Measure, seconds: number): Promise<Sample> {
    const isConnecting = what === 'connect'
    const before = this.#agentSeconds()
    const words = wordsOf(what, seconds, ENDS)
    const { told, cost } = await generate(this.#pods[0], isConnecting ? this.#echo : this.#sink, words)
    if (isConnecting && (told as Told)['connections'] === 0)
      throw new Error(`nothing gets through ${this.nodes[0].namespace}: ${JSON.stringify(told)}`)
    return sampleOf(what, told, cost, this.#agentSeconds() - before)
  }

  #agentSeconds(): number {
    return this.agents.reduce((sum, agent) => sum + cpuOf(agent.pid!, 'and its children'), 0)
  }
}

export const address = (node: number, underlay: Family): string =>
  underlay === 4 ? `172.30.0.1${node}` : `fd00:172:30::1${node}`
export const range = (node: number): string => `10.244.${node}.0/24`

/** The interface of a node that leads to the other. */
export const UNDERLAY = 'eth0'
const SINK_PORT = 9000
const ENDS = {
  from: Array.from({ length: 16 }, (_, i) => `10.244.1.${i + 10}`),
  echo: `10.244.2.10:${BACKEND_PORT}`,
  sink: `10.244.2.10:${SINK_PORT}`,
}
const TRIES_MAX = 20
const RESUMED_MS = 500

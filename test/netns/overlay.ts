/**
 *   n1 172.30.0.11  n2 172.30.0.12  n3 172.30.0.13  ...     fd00:172:30::11, ... ; n1 is the world's own namespace
 *        └───────────────┴── net (bridge) ──┘
 *   p1 10.244.1.2   p2 10.244.2.2   p3 10.244.3.2            fd00:10:244:1::2, ... ; one pod each
 *
 * Nodes for agents as they ship, each with a pod behind it. Only the overlay makes pods reach each other.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exec, start } from '../../src/kernel/exec.ts'
import { node, type Raw } from '../contract/service-objects.ts'
import { Agent, MAIN } from './shipped.ts'
import { until } from './waiting.ts'
import { inside, ip, within } from './world.ts'

export type Family = 4 | 6

export interface World {
  /** Families of the nodes' own addresses; default both. */
  readonly underlay?: readonly Family[]
  /** Of pods; default both. */
  readonly pods?: readonly Family[]
  readonly mtu?: number
  /** No pods behind the nodes. */
  readonly isEmpty?: boolean
}

export const address = (number: number, family: Family = 4): string =>
  family === 4 ? `172.30.0.1${number}` : `fd00:172:30::1${number}`
export const range = (number: number, family: Family = 4): string =>
  family === 4 ? `10.244.${number}.0/24` : `fd00:10:244:${number}::/64`
export const podAddress = (number: number, family: Family = 4): string =>
  family === 4 ? `10.244.${number}.2` : `fd00:10:244:${number}::2`

export class OverlayWorld {
  readonly folder = mkdtempSync(join(tmpdir(), 'fairlead-overlay-'))
  readonly #objects = join(this.folder, 'objects.json')
  readonly #world: Required<World>
  readonly #agents = new Map<string, Agent>()

  constructor(world: World = {}) {
    this.#world = { underlay: [4, 6], pods: [4, 6], mtu: 1500, isEmpty: false, ...world }
  }

  /** Nodes 1 to `count`, each with a pod; nothing carries packets between them yet. */
  async build(count: number): Promise<void> {
    await ip('netns add net')
    await inside('net', 'ip', 'link', 'add', 'br0', 'mtu', String(this.#world.mtu), 'type', 'bridge', 'forward_delay', '0', 'mcast_snooping', '0') // prettier-ignore
    await inside('net', 'ip', 'link', 'set', 'br0', 'up')
    for (let number = 1; number <= count; number++) await this.#buildNode(number)
  }

  /** Node object as the cluster has it. */
  node(
    number: number,
    more: { name?: string; ips?: readonly string[]; podCIDRs?: readonly string[]; [field: string]: any } = {},
  ): Raw {
    // prettier-ignore
    const { underlay, pods } = this.#world
    const ips = more.ips ?? underlay.map((family) => address(number, family))
    const podCIDRs = more.podCIDRs ?? pods.map((family) => range(number, family))
    const made = node(more.name ?? `n${number}`, ips, podCIDRs, null)
    return { ...made, metadata: { ...made['metadata'], ...more['metadata'] } }
  }

  write(...objects: readonly Raw[]): void {
    writeFileSync(this.#objects, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
  }

  /** Does not wait. */
  begin(number: number, ...args: readonly string[]): Agent {
    const name = `n${number}`
    const socket = join(this.folder, `${name}.sock`)
    const cluster = ['--directory', this.#objects, '--node', name, '--state-dir', '', '--log', 'debug']
    const overlay = ['--overlay', 'vxlan', '--subnet-env', this.subnetEnv(number), '--audit-seconds', '0']
    const program = [process.execPath, '--disable-warning=ExperimentalWarning', MAIN, 'agent']
    const command = [...within(name), ...program, ...cluster, ...overlay, '--status-socket', socket, ...args]
    const child = start(command as [string], { stdio: ['ignore', 'ignore', 'pipe'], env: process.env })
    const agent = new Agent(child, socket)
    this.#agents.set(name, agent)
    return agent
  }

  async start(number: number, ...args: readonly string[]): Promise<Agent> {
    const agent = this.begin(number, ...args)
    await this.settled(agent)
    return agent
  }

  settled(agent: Agent): Promise<void> {
    return agent.settled('overlay', 'overlay guard', 'subnet.env')
  }

  subnetEnv(number: number): string {
    return join(this.folder, `n${number}`, 'subnet.env')
  }

  readSubnetEnv(number: number): string {
    return readFileSync(this.subnetEnv(number), 'utf8')
  }

  async kill(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.kill()))
    this.#agents.clear()
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.child.kill('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #buildNode(number: number): Promise<void> {
    const { underlay, pods, mtu } = this.#world
    const name = `n${number}`
    const at = number === 1 ? '' : `-n ${name}`
    await ip(
      ...(number === 1 ? [] : [`netns add ${name}`]),
      `link add ${name} mtu ${mtu} netns net type veth peer name eth0 mtu ${mtu} ${number === 1 ? '' : `netns ${name}`}`,
      `-n net link set ${name} master br0 up`,
      `${at} link set lo up`,
      `${at} link set eth0 up`,
      ...underlay.map(
        (family) => `${at} addr add ${address(number, family)}/${family === 4 ? 24 : '64 nodad'} dev eth0`,
      ),
    )
    await inside(name, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
    if (this.#world.isEmpty) return
    const pod = `p${number}`
    await ip(
      `netns add ${pod}`,
      `link add pod mtu ${mtu} ${number === 1 ? '' : `netns ${name}`} type veth peer name eth0 mtu ${mtu} netns ${pod}`,
      `-n ${pod} link set lo up`,
      `-n ${pod} link set eth0 up`,
      `${at} link set pod up`,
      `${at} addr add 169.254.1.1/32 dev pod`,
      `${at} addr add fe80::1/64 dev pod nodad`,
    )
    for (const family of pods) {
      const [own, gateway] = [podAddress(number, family), family === 4 ? '169.254.1.1' : 'fe80::1']
      await ip(
        `-n ${pod} addr add ${own}/${family === 4 ? 32 : '128 nodad'} dev eth0`,
        ...(family === 4 ? [`-n ${pod} route add ${gateway} dev eth0`] : []),
        `-n ${pod} -${family} route add default via ${gateway} dev eth0`,
        `${at} route add ${own}/${family === 4 ? 32 : 128} dev pod`,
      )
    }
  }
}

/** True when one answer came. `octets`: of the whole IP packet, which must not be cut in pieces. */
export async function pings(from: string, to: string, octets?: number): Promise<boolean> {
  const headers = to.includes(':') ? 48 : 28
  const size = octets === undefined ? [] : ['-M', 'do', '-s', String(octets - headers)]
  const result = await exec([...within(from), 'ping', '-c', '1', '-W', '1', ...size, to] as unknown as [string])
  return result.kind === 'done'
}

/** Until an answer comes: of what must get through. `octets` as of `pings`. */
export const reached = (from: string, to: string, octets?: number): Promise<void> =>
  until(`${from} reaches ${to}${octets === undefined ? '' : ` with ${octets} octets`}`, () => pings(from, to, octets))

/** Until pods of two nodes reach each other, both ways. */
export async function connected(a: number, b: number, families: readonly Family[] = [4, 6]): Promise<void> {
  for (const family of families)
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const)
      // prettier-ignore
      await reached(`p${from}`, podAddress(to, family))
}

/**
 * A node as flannel leaves it: its VXLAN device and peers, its rules, and pods that its conflist (the plugin flannel, which
 * hands them to the plugin bridge) put on the bridge cni0. Sources: flannel's pkg/backend/vxlan, pkg/trafficmngr/iptables,
 * and flannel-io/cni-plugin.
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CniNetwork } from '../../src/cni/conflist.ts'
import { describe, exec } from '../../src/kernel/exec.ts'
import { addToNetwork, delFromNetwork, type CniResult, type Sandbox } from '../../src/lab/cni.ts'
import { QUICK_ADDRESSES } from '../../src/lab/network.ts'
import { address, range } from './overlay.ts'
import { Peer } from './peer.ts'
import { inside, ip, within } from './world.ts'

export interface Pod {
  readonly name: string
  readonly node: number
  readonly four: string
  readonly six: string
  readonly peer: Peer
  readonly sandbox: Sandbox
  readonly result: CniResult
}

export class FlannelNode {
  readonly number: number
  /** Where runtimes look for conflists, and the plugin host-local keeps its leases. */
  readonly conf: string
  readonly data: string
  readonly #pods = new Set<Pod>()

  constructor(number: number, folder: string) {
    this.number = number
    this.conf = join(folder, `n${number}`, 'net.d')
    this.data = join(folder, `n${number}`, 'networks')
    mkdirSync(this.conf, { recursive: true })
  }

  get name(): string {
    return `n${this.number}`
  }

  async lay(peers: readonly number[]): Promise<void> {
    const { number, name } = this
    const at = number === 1 ? '' : `-n ${name} `
    await ip(
      `${at}link add flannel.1 mtu 1450 address ${mac(number)} type vxlan id 1 local ${address(number)} dev eth0 dstport 8472 nolearning`, // prettier-ignore
      `${at}address add 10.244.${number}.0/32 dev flannel.1`,
      `${at}link set flannel.1 up`,
    )
    for (const peer of peers) {
      await ip(`${at}neigh add 10.244.${peer}.0 lladdr ${mac(peer)} dev flannel.1 nud permanent`)
      await inside(name, 'bridge', 'fdb', 'append', mac(peer), 'dev', 'flannel.1', 'dst', address(peer), 'self')
      await ip(`${at}route add ${range(peer)} via 10.244.${peer}.0 dev flannel.1 onlink`)
    }
    await inside(name, 'sysctl', '-qw', ...QUICK_ADDRESSES, ...BRIDGED, STRICT)
    const restored = await exec([...within(name), 'iptables-restore', '--noflush'] as unknown as [string], {
      stdin: rules(range(number)),
    })
    if (restored.kind !== 'done') throw new Error(describe(restored))
  }

  /** As its conflist did. */
  bridged(name: string, hostPorts: readonly number[] = []): Promise<Pod> {
    return this.#start(name, bridgeNetwork(this.number, this.data), hostPorts)
  }

  /** By the conflist that lies there now. */
  routed(name: string): Promise<Pod> {
    return this.#start(name, this.#conflist(), [])
  }

  /** As a runtime does after the node was taken over: by the conflist that lies there now. */
  async delete(pod: Pod): Promise<void> {
    pod.peer.close()
    this.#pods.delete(pod)
    const network = this.#conflist()
    const gone = await delFromNetwork(network, pod.sandbox, inVersion(pod.result, network), enter(this.name))
    if (gone.kind === 'failed') throw new Error(gone.reason)
    await ip(`netns delete ${pod.name}`)
  }

  /** Addresses that the plugin host-local has given out. */
  leases(): readonly string[] {
    return readdirSync(join(this.data, 'cbr0')).filter((name) => /^[\da-f:.]+$/.test(name))
  }

  close(): void {
    for (const { peer } of this.#pods) peer.close()
  }

  #conflist(): CniNetwork {
    const [first] = readdirSync(this.conf).sort()
    return JSON.parse(readFileSync(join(this.conf, first!), 'utf8')) as CniNetwork
  }

  async #start(name: string, network: CniNetwork, hostPorts: readonly number[]): Promise<Pod> {
    await ip(`netns add ${name}`, `-n ${name} link set lo up`)
    await inside(name, 'sysctl', '-qw', ...QUICK_ADDRESSES)
    const portMappings = hostPorts.map((hostPort) => ({ hostPort, containerPort: 8080, protocol: 'tcp' }))
    const sandbox = { id: `${name}-id`, netns: `/run/netns/${name}`, namespace: 'shop', pod: name, portMappings }
    const answer = await addToNetwork(network, sandbox, enter(this.name))
    if (answer.kind === 'failed') throw new Error(answer.reason)
    const { result } = answer
    const [four, six] = (result.ips ?? []).map((each) => each.address.replace(/\/.*/, '')) as [string, string]
    const peer = new Peer(name)
    await peer.listen([{ protocol: 'tcp', port: 8080 }])
    const pod = { name, node: this.number, four, six, peer, sandbox, result }
    this.#pods.add(pod)
    return pod
  }
}

/** As libcni hands on a result that it kept from before the conflist was changed (getCachedResult in libcni/api.go). */
function inVersion({ ips = [], ...rest }: CniResult, { cniVersion }: CniNetwork): CniResult {
  return { ...rest, cniVersion, ips: ips.map(({ version: _, ...each }: { address: string; version?: string }) => each) }
}

export const mac = (number: number): string => `de:ad:be:ef:00:0${number}`

/** What flannel's plugin makes of its subnet.env. */
function bridgeNetwork(number: number, dataDir: string): CniNetwork {
  const ipam = {
    type: 'host-local',
    dataDir,
    ranges: [[{ subnet: range(number) }], [{ subnet: range(number, 6) }]],
    routes: [{ dst: '10.244.0.0/16' }, { dst: 'fd00:10:244::/48' }],
  }
  const bridge = {
    bridge: 'cni0',
    mtu: 1450,
    hairpinMode: true,
    ipMasq: false,
    isGateway: true,
    isDefaultGateway: true,
  }
  return {
    cniVersion: '0.3.1',
    name: 'cbr0',
    plugins: [
      { type: 'bridge', ...bridge, ipam },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  }
}

const rules = (here: string): string => `*nat
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN
-A FLANNEL-POSTRTG -s ${here} -d 10.244.0.0/16 -j RETURN
-A FLANNEL-POSTRTG -s 10.244.0.0/16 -d ${here} -j RETURN
-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d ${here} -j RETURN
-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -j MASQUERADE --random-fully
COMMIT
*filter
:FLANNEL-FWD - [0:0]
-A FORWARD -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.244.0.0/16 -j ACCEPT
-A FLANNEL-FWD -d 10.244.0.0/16 -j ACCEPT
COMMIT
`

const enter = (name: string): readonly [string, ...string[]] => ['env', ...within(name)]
/** As hosts that are hardened have it. */
const STRICT = 'net.ipv4.conf.all.rp_filter=1'
/** Else all bridges of the host would be as a Service needs one to be, and nobody could see that ours is. */
const BRIDGED = ['net.bridge.bridge-nf-call-iptables=0', 'net.bridge.bridge-nf-call-ip6tables=0']

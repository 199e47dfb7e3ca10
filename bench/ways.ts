/** Ways by which pods of two nodes reach each other: routes of the link itself, VXLAN by hand, or what we ship. */
import type { ChildProcess } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { describe, exec, start } from '../src/kernel/exec.ts'
import { OVERHEAD_BYTES } from '../src/overlay/options.ts'
import { node as nodeObject } from '../test/contract/service-objects.ts'
import { Agent } from '../test/netns/shipped.ts'
import { inside, ip, within } from '../test/netns/world.ts'
import { SERVICE_CIDR } from './cluster.ts'
import { address, Pair, range, UNDERLAY, type Family, type Node } from './pair.ts'

export interface Way {
  readonly name: string
  readonly kind: 'direct' | 'by hand' | 'Fairlead'
  readonly underlay: Family
  /** By hand: with flannel's rules for masquerading and forwarding, too. */
  readonly masquerade?: boolean
  /** Fairlead: more for the agent. */
  readonly args?: readonly string[]
}

/** `name`: of the pair. Once this returns, pods reach each other. */
export async function open(name: string, way: Way): Promise<Pair> {
  const mtu = LINK_MTU - (way.kind === 'direct' ? 0 : OVERHEAD_BYTES[way.underlay])
  const pair = await Pair.open(name, way.underlay, mtu)
  try {
    const [a, b] = pair.nodes
    if (way.kind === 'Fairlead') {
      pair.agents = await startAgents(name, pair.nodes, way)
    } else {
      for (const [here, there] of [
        [a, b],
        [b, a],
      ] as const) {
        // prettier-ignore
        if (way.kind === 'direct') await route(here, there)
        else await tunnel(here, there, way.underlay, mtu)
        if (way.masquerade) await masquerade(here)
      }
    }
    await pair.settle()
    return pair
  } catch (error) {
    pair.close()
    throw error
  }
}

async function route(here: Node, there: Node): Promise<void> {
  await ip(`-n ${here.namespace} route add ${range(there.number)} via ${address(there.number, 4)}`)
}

/** As little as carries: one device (as RFC 7348 has it: no UDP checksum over IPv4), neighbour, forwarding entry, route. */
async function tunnel(here: Node, there: Node, underlay: Family, mtu: number): Promise<void> {
  const at = `-n ${here.namespace}`
  const checksum = underlay === 4 ? ' noudpcsum' : ''
  const type = `type vxlan id 1 local ${address(here.number, underlay)} dev ${UNDERLAY} dstport 8472 nolearning${checksum}`
  await ip(
    `${at} link add ${DEVICE} mtu ${mtu} address ${mac(here.number)} ${type}`,
    `${at} link set ${DEVICE} up`,
    `${at} addr add ${vtep(here.number)}/32 dev ${DEVICE}`,
    `${at} neigh add ${vtep(there.number)} lladdr ${mac(there.number)} dev ${DEVICE} nud permanent`,
    `${at} route add ${range(there.number)} via ${vtep(there.number)} dev ${DEVICE} onlink`,
  )
  const entry = ['dev', DEVICE, 'dst', address(there.number, underlay), 'self', 'permanent']
  await inside(here.namespace, 'bridge', 'fdb', 'add', mac(there.number), ...entry)
}

/** flannel's rules (pkg/trafficmngr/iptables/iptables.go: masqRules, forwardRules), without their comments. */
async function masquerade({ namespace, number }: Node): Promise<void> {
  const stdin = `*nat
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN
-A FLANNEL-POSTRTG -s ${range(number)} -d ${CLUSTER} -j RETURN
-A FLANNEL-POSTRTG -s ${CLUSTER} -d ${range(number)} -j RETURN
-A FLANNEL-POSTRTG ! -s ${CLUSTER} -d ${range(number)} -j RETURN
-A FLANNEL-POSTRTG -s ${CLUSTER} ! -d 224.0.0.0/4 -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s ${CLUSTER} -d ${CLUSTER} -j MASQUERADE --random-fully
COMMIT
*filter
:FLANNEL-FWD - [0:0]
-A FORWARD -j FLANNEL-FWD
-A FLANNEL-FWD -s ${CLUSTER} -j ACCEPT
-A FLANNEL-FWD -d ${CLUSTER} -j ACCEPT
COMMIT
`
  const command = [...within(namespace), 'iptables-nft-restore', '--noflush']
  const result = await exec(command as [string, ...string[]], { stdin })
  if (result.kind !== 'done') throw new Error(describe(result))
}

/** They have programmed all. */
async function startAgents(name: string, nodes: Pair['nodes'], way: Way): Promise<readonly ChildProcess[]> {
  const objects = `/run/bench-${name}.json`
  const items = nodes.map(({ number }) =>
    nodeObject(`n${number}`, [address(number, way.underlay)], [range(number)], null),
  )
  writeFileSync(objects, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [...items, SERVICE_CIDR] }))
  const agents = nodes.map(({ number, namespace }) => {
    const folder = `/run/bench-${name}-${number}`
    const cluster = ['--directory', objects, '--node', `n${number}`, '--state-dir', '']
    const paths = ['--subnet-env', `${folder}/subnet.env`, '--status-socket', `${folder}.sock`]
    const words = [FAIRLEAD, 'agent', ...cluster, '--overlay', 'vxlan', ...paths, ...(way.args ?? [])]
    const child = start([...within(namespace), ...words] as [string], { stdio: ['ignore', 'ignore', 'pipe'] })
    return new Agent(child, `${folder}.sock`)
  })
  try {
    for (const agent of agents) await agent.settled('overlay', 'overlay guard', 'masquerade', 'forwarding')
  } catch (error) {
    for (const { child } of agents) child.kill('SIGKILL')
    throw error
  }
  return agents.map(({ child }) => child) // `ip netns exec` becomes it
}

const vtep = (node: number): string => `10.244.${node}.0`
const mac = (node: number): string => `02:00:00:00:00:0${node}`

const FAIRLEAD = new URL('../bin/fairlead', import.meta.url).pathname
const CLUSTER = '10.244.0.0/16'
const DEVICE = 'vxlan0'
const LINK_MTU = 1500

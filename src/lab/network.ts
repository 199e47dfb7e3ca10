/**
 *   outside 172.30.0.1 ----+
 *                          |  br-underlay (in PID 1's network namespace, which has no address in it)
 *   n1 172.30.0.11 --------+        10.244.N.0/24, fd00:10:244:N::/64 behind each;
 *   n2 172.30.0.12 --------+        the nodes' agents make an overlay between them
 *
 * `outside` is not part of the cluster: it reaches pods and load-balancer addresses by static routes through the nodes.
 */
import { nextHops } from './announce.ts'
import { run } from './command.ts'
import { OUTSIDE, UNDERLAY, type NodePlan } from './plan.ts'

/** Makes the network namespaces `outside` and one a node, and wires them to the bridge. Throws when the kernel refuses. */
export async function buildUnderlay(nodes: readonly NodePlan[], loadBalancerPools: readonly string[]): Promise<void> {
  const hosts = [OUTSIDE, ...nodes]
  const lines = [
    'link set lo up',
    `link add br-underlay mtu ${UNDERLAY.mtu} type bridge forward_delay 0 mcast_snooping 0`,
    'link set br-underlay up',
  ]
  for (const { name } of hosts) {
    lines.push(`netns add ${name}`, `link add u-${name} type veth peer name eth0 netns ${name}`)
    lines.push(`link set u-${name} master br-underlay up`)
  }
  await run(['ip', '-batch', '-'], lines.join('\n') + '\n')
  await Promise.all([buildOutside(nodes, loadBalancerPools), ...nodes.map(buildNode)])
}

async function buildOutside(nodes: readonly NodePlan[], pools: readonly string[]): Promise<void> {
  await run(['nsenter', '--net=/run/netns/outside', 'sysctl', '-q', '-w', ...HOST_SYSCTLS])
  const lines = [...addresses(OUTSIDE), ...nextHops(nodes)]
  for (const node of nodes) {
    lines.push(`route add ${node.podCIDRs[0]} via ${node.ipv4}`, `route add ${node.podCIDRs[1]} via ${node.ipv6}`)
  }
  // Every node takes a share of the connections, as with an announcement by BGP and ECMP.
  for (const pool of pools) {
    const hops = nodes.map((node) => `nexthop via ${pool.includes(':') ? node.ipv6 : node.ipv4}`)
    lines.push(`route add ${pool} ${hops.join(' ')}`)
  }
  await run(['ip', '-n', 'outside', '-batch', '-'], lines.join('\n') + '\n')
}

async function buildNode(node: NodePlan): Promise<void> {
  await run(['nsenter', `--net=/run/netns/${node.name}`, 'sysctl', '-q', '-w', ...QUICK_ADDRESSES])
  const lines = [...addresses(node), `route add default via ${OUTSIDE.ipv4}`, `route add default via ${OUTSIDE.ipv6}`]
  await run(['ip', '-n', node.name, '-batch', '-'], lines.join('\n') + '\n')
}

function addresses(host: { readonly ipv4: string; readonly ipv6: string }): string[] {
  return [
    'link set lo up',
    `address add ${host.ipv4}/${UNDERLAY.prefixV4} dev eth0`,
    `address add ${host.ipv6}/${UNDERLAY.prefixV6} dev eth0 nodad`,
    'link set eth0 up',
  ]
}

/** Duplicate address detection waits a second per address; in a network of our own making there are no duplicates. */
export const QUICK_ADDRESSES: readonly string[] = [
  'net.ipv6.conf.all.accept_dad=0',
  'net.ipv6.conf.default.accept_dad=0',
]

/** `outside` forwards nothing: as the nodes' default gateway it would else carry pods' packets when the overlay does not. */
const HOST_SYSCTLS: readonly string[] = [
  ...QUICK_ADDRESSES,
  // Connections to a load-balancer address are spread by address and port over the nodes.
  'net.ipv4.fib_multipath_hash_policy=1',
  'net.ipv6.fib_multipath_hash_policy=1',
]

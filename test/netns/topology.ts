import { ip, inside } from './world.ts'

/**
 *   outside 172.30.0.1        n2 172.30.0.12 ── pods 10.244.2.x
 *          └────── net (bridge) ──┘
 *                   │
 *              n1 172.30.0.11 ── pods 10.244.1.x       the node under test
 *
 * Each host and pod is a namespace with one IPv4 and one IPv6 address (fd00: plus the same, see `six`).
 */
export const NODES = { n1: '172.30.0.11', n2: '172.30.0.12', outside: '172.30.0.1' } as const

/** The IPv6 address of a host or pod: 10.244.1.2 -> fd00:10:244:1::2, 172.30.0.11 -> fd00:172:30::11. */
export function six(address: string): string {
  const [a, b, c, d] = address.split('.')
  return a === '172' ? `fd00:172:30::${d}` : `fd00:${a}:${b}:${c}::${d}`
}

/**
 * Builds the hosts. n1, the node under test, is the world's own namespace. eth0 is always the peer of what is made: before
 * Linux 6.14 the name of the first must be free in the namespace that asks, wherever it goes.
 */
export async function buildNodes(): Promise<void> {
  await ip('netns add net')
  await inside('net', 'ip', 'link', 'add', 'br0', 'type', 'bridge', 'forward_delay', '0')
  await inside('net', 'ip', 'link', 'set', 'br0', 'up')
  for (const [name, address] of Object.entries(NODES)) {
    await ip(
      ...(name === 'n1' ? [] : [`netns add ${name}`]),
      `link add ${name} netns net type veth peer name eth0 ${name === 'n1' ? '' : `netns ${name}`}`,
      `-n net link set ${name} master br0 up`,
      `${at(name)} link set lo up`,
      `${at(name)} addr add ${address}/24 dev eth0`,
      `${at(name)} addr add ${six(address)}/64 dev eth0 nodad`,
      `${at(name)} link set eth0 up`,
    )
    // Many refusals a second to one host, as a test wants them, the kernel would not send.
    const sysctls = [
      'net.ipv4.ip_forward=1',
      'net.ipv6.conf.all.forwarding=1',
      'net.ipv4.icmp_ratelimit=0',
      'net.ipv6.icmp.ratelimit=0',
    ]
    await inside(name, 'sysctl', '-qw', ...sysctls)
  }
  // What an overlay does in a cluster, done by plain routes here.
  for (const [where, to, via] of [
    ['n1', '10.244.2.0/24', 'n2'],
    ['n2', '10.244.1.0/24', 'n1'],
    ['outside', '10.244.1.0/24', 'n1'],
    ['outside', '10.244.2.0/24', 'n2'],
    ['n1', 'fd00:10:244:2::/64', 'n2'],
    ['n2', 'fd00:10:244:1::/64', 'n1'],
    ['outside', 'fd00:10:244:1::/64', 'n1'],
    ['outside', 'fd00:10:244:2::/64', 'n2'],
  ] as const)
    await route(where, to, via)
  // A node has a default route: without one it could not even send to a service address.
  await route('n1', 'default', 'outside')
  await route('n1', 'default', 'outside', 6)
}

/** Lets hosts outside the node under test send to a service address of it. */
export async function announce(address: string): Promise<void> {
  for (const where of ['outside', 'n2'] as const) await route(where, address, 'n1')
}

/** An address of nobody else's becomes one more of the host outside. */
export async function addOutside(address: string): Promise<void> {
  const length = address.includes(':') ? 128 : 32
  await ip(`${at('outside')} addr add ${address}/${length} dev lo nodad`) // also on loopback an address is tentative for a moment
  await route('n2', address, 'outside')
}

/** A pod of n1 or n2, by its IPv4 address; returns the namespace's name. */
export async function buildPod(address: string): Promise<string> {
  const node = address.startsWith('10.244.1.') ? 'n1' : 'n2'
  const name = `p${address.replaceAll('.', '-')}`
  const device = `v${address.split('.').slice(2).join('-')}`
  await ip(
    `netns add ${name}`,
    `link add ${device} ${node === 'n1' ? '' : `netns ${node}`} type veth peer name eth0 netns ${name}`,
    `-n ${name} link set lo up`,
    `-n ${name} addr add ${address}/32 dev eth0`,
    `-n ${name} addr add ${six(address)}/128 dev eth0 nodad`,
    `-n ${name} link set eth0 up`,
    `-n ${name} route add 169.254.1.1 dev eth0`,
    `-n ${name} route add default via 169.254.1.1`,
    `-n ${name} route add default via fe80::1 dev eth0`,
    `${at(node)} link set ${device} up`,
    `${at(node)} addr add 169.254.1.1/32 dev ${device}`,
    `${at(node)} addr add fe80::1/64 dev ${device} nodad`,
    // Who answers datagrams on all addresses answers with the node's own, not with that of the link.
    `${at(node)} route add ${address}/32 dev ${device} src ${NODES[node]}`,
    `${at(node)} route add ${six(address)}/128 dev ${device}`,
  )
  return name
}

async function route(
  where: string,
  to: string,
  via: keyof typeof NODES,
  family = to.includes(':') ? 6 : 4,
): Promise<void> {
  await ip(`${at(where)} -${family} route replace ${to} via ${family === 6 ? six(NODES[via]) : NODES[via]}`)
}

const at = (name: string): string => (name === 'n1' ? '' : `-n ${name}`)

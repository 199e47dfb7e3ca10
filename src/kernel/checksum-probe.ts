/**
 * Sends packets as an overlay does that Services masquerade, within a namespace of its own, and looks what arrives:
 *
 *   connect 198.51.100.2 -> vxlan (UDP checksum 0) -> masqueraded, port chosen at random -> veth ==> its other end
 *
 * The inner checksum is left to the interface to compute. Kernels without the fix (Linux commit ea64d8d6c675, "netfilter:
 * nat: never update the UDP checksum when it's 0") take that for the outer one's and change a checksum that was none.
 */
import { carrier } from './carrier.ts'
import { describe, type ExecOptions, type ExecResult } from './exec.ts'
import { makeNamespace, type Namespace } from './namespace.ts'

/** Wrapped packets that arrived, and those of them whose outer UDP checksum was not 0 any more. */
export interface Arrived {
  readonly seen: number
  readonly wrong: number
}

export type Probed =
  | ({ readonly kind: 'probed' } & Arrived)
  /** Nothing was learned. */
  | { readonly kind: 'failed'; readonly reason: string }

/** `rules`: for nft; what happens to the packets on their way. Takes a third of a second. */
export async function probeChecksums(signal?: AbortSignal, rules: string = RULES): Promise<Probed> {
  const made = await makeNamespace(signal)
  if (made.kind === 'failed') return made
  try {
    return await send(made.namespace, rules, { timeoutMs: STEP_MAX_MS, ...(signal && { signal }) })
  } finally {
    made.namespace.close()
  }
}

async function send(namespace: Namespace, rules: string, options: ExecOptions): Promise<Probed> {
  const steps: readonly (readonly [command: readonly [string, ...string[]], stdin: string])[] = [
    [['ip', '-batch', '-'], LINKS],
    [['nft', '-f', '-'], rules],
    [[carrier, 'probe'], QUESTIONS], // nobody answers
    [['nft', '-j', 'list', 'counters', 'table', 'ip', TABLE], ''],
  ]
  let last: ExecResult | null = null
  for (const [command, stdin] of steps) {
    last = await namespace.run(command, { ...options, stdin })
    if (last.kind !== 'done') return { kind: 'failed', reason: `${command[0]}: ${describe(last)}` }
  }
  return { kind: 'probed', ...readCounters((last as ExecResult & { kind: 'done' }).stdout) }
}

/** `text`: as `nft -j list counters` prints it. */
function readCounters(text: string): Arrived {
  const { nftables } = JSON.parse(text) as { nftables: readonly { counter?: { name: string; packets: number } }[] }
  const packets = (name: string): number =>
    nftables.flatMap(({ counter }) => (counter?.name === name ? counter.packets : []))[0] ?? 0
  return { seen: packets('seen'), wrong: packets('wrong') }
}

const TABLE = 'probe'
/** Ranges for documentation (RFC 5737): in this namespace they are nobody's. */
const LINKS = `
link set lo up
address add 203.0.113.1/32 dev lo
link add near address 02:00:00:00:00:01 type veth peer name far address 02:00:00:00:00:02
address add 192.0.2.1/24 dev near
link set near up
link set far up
neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev near nud permanent
link add overlay type vxlan id 1 local 203.0.113.1 remote 192.0.2.2 dev near dstport 8472 nolearning noudpcsum
address add 198.51.100.1/24 dev overlay
link set overlay up
neighbour add 198.51.100.2 lladdr 02:00:00:00:00:03 dev overlay nud permanent
`
/** Before Linux 4.18 nothing is translated back without the first chain. What carries IPv4 is one of ours, not a host's first words. */
export const RULES = `
table ip ${TABLE} {
  counter seen {}
  counter wrong {}
  chain translated { type nat hook prerouting priority -100; }
  chain translate {
    type nat hook postrouting priority 100;
    oifname "near" udp dport 8472 masquerade fully-random
  }
  chain arrived {
    type filter hook prerouting priority -300;
    iifname "far" udp dport 8472 @th,224,16 0x0800 counter name "seen"
    iifname "far" udp dport 8472 @th,224,16 0x0800 udp checksum != 0 counter name "wrong"
  }
}
`
/** Each from another port, so as a flow of its own. */
const QUESTIONS = [1, 2, 3, 4]
  .map((id) => JSON.stringify({ id, type: 'tcp', host: '198.51.100.2', port: 80, timeoutMs: 200 }) + '\n')
  .join('')
const STEP_MAX_MS = 20_000

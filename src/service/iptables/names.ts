import { hash } from 'node:crypto'
import { PREFIX } from '../../kernel/iptables.ts'

/** Other rooms' chains, and the jumps to them: src/egress, src/overlay, src/nodelocal. */
export const OTHERS = /(?<=[ :])FAIRLEAD-(FORWARD|EGRESS|OVERLAY-\w+|DNS-\w+)(?= |$)/

/** The chains with names of their own. All others are named by `chainName`. In table nat, but for `FILTER`. */
export const CHAINS = {
  services: `${PREFIX}SERVICES`, // from PREROUTING and OUTPUT
  frontends: `${PREFIX}FRONTENDS`, // finds the frontend of a packet, or the ClusterIP it is sent to
  outside: `${PREFIX}OUTSIDE`, // marks what does not come from a pod of this node
  refuse: `${PREFIX}REFUSE`,
  drop: `${PREFIX}DROP`,
  postrouting: `${PREFIX}POSTROUTING`,
  masquerade: `${PREFIX}MASQUERADE`,
  hairpins: `${PREFIX}HAIRPINS`, // endpoints of this node that are sent to themselves
  filter: `${PREFIX}FILTER`, // table filter: what nat can only mark
} as const

/** A chain named after what makes it what it is: 28 characters are allowed. */
export const chainName = (what: string): string => `${PREFIX}${hash('sha256', what, 'hex').slice(0, 16)}`

/** The clients that were sent to an endpoint of an affinity pool. 31 characters are allowed. */
export const clientsName = (pool: number, id: number): string =>
  `${PREFIX}${pool.toString(16).padStart(8, '0')}-${id.toString(16)}`

/** Sets of other rooms are named otherwise. */
export const isClients = (set: string): boolean => CLIENTS.test(set)

/**
 * What table nat says to the chains after it, in two bits of the packet mark. nat cannot drop or reject, and a packet that
 * is not translated must not go on: it would leave a conntrack entry that keeps later ones from the endpoints. 0x4000 and
 * 0x8000 mean to kube-proxy and kubelet what they mean here; both together are ours.
 */
export const MARKS = { masquerade: '0x4000', drop: '0x8000', refuse: '0xc000', mask: '0xc000' } as const
const CLIENTS = /^FAIRLEAD-[0-9a-f]{8,}-[0-9a-f]+$/

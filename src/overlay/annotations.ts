/**
 * What nodes say of themselves in annotations, in flannel's words (pkg/subnet/kube/annotations.go), so that its nodes and
 * ours reach each other. The prefix may be another there (--kube-annotation-prefix); ours is its default.
 */
import { familyOf, parseAddress } from '../cluster/address.ts'
import type { Node } from '../cluster/node.ts'
import type { Family } from '../cluster/protocol.ts'
import { show } from '../cluster/rejection.ts'
import { parseMac } from './mac.ts'

/** What a node's annotations say of one underlay family; null: nothing. */
export interface Written {
  readonly address: string | null
  readonly mac: string | null
  readonly vni: number | null
}

export interface Complaint {
  readonly field: string
  readonly problem: string
  readonly remedy: string
}

/** The words of a kind of backend that is not ours; null: VXLAN, or nothing said. */
export function otherBackend({ annotations }: Node): string | null {
  const type = annotations.get(BACKEND_TYPE)
  return type === undefined || type === '' || type === 'vxlan' ? null : type
}

export function readAnnotations(
  { annotations }: Node,
  family: Family,
  complain: (complaint: Complaint) => void,
): Written {
  const address = (key: string): string | null => {
    const text = annotations.get(key)
    if (text === undefined || text === '') return null
    const ip = parseAddress(text)
    if (ip !== null && familyOf(ip) === family) return ip
    const remedy = 'correct it, or remove it so that the InternalIP is used'
    complain({ field: field(key), problem: `is ${show(text)}, not an IPv${family} address; ignored`, remedy })
    return null
  }
  const { overwrite, own, data } = NAMES[family]
  return { address: address(overwrite) ?? address(own), ...readBackend(annotations.get(data), data, complain) }
}

/** What our node's annotations say; those of an underlay family that it does not use are ''. */
export interface Announced {
  readonly family: Family
  /** Where others find us, unless an overwrite says otherwise. */
  readonly address: string
  readonly mac: string
  readonly vni: number
}

export function writeAnnotations(node: Node, announced: readonly Announced[]): ReadonlyMap<string, string> {
  const written = new Map([
    [BACKEND_TYPE, 'vxlan'],
    [SUBNET_MANAGER, 'true'],
  ])
  for (const { family, address, mac, vni } of announced) {
    const { overwrite, own, data } = NAMES[family]
    written.set(own, node.annotations.get(overwrite) || address)
    written.set(data, JSON.stringify({ VNI: vni, VtepMAC: mac }))
  }
  return written
}

function readBackend(
  text: string | undefined,
  key: string,
  complain: (complaint: Complaint) => void,
): { readonly mac: string | null; readonly vni: number | null } {
  // flannel writes null for a family that it does not use.
  if (text === undefined || text === '' || text === 'null') return { mac: null, vni: null }
  let data: unknown = null
  try {
    data = JSON.parse(text)
  } catch {
    // Said below.
  }
  const { VtepMAC, VNI } = (typeof data === 'object' && data !== null ? data : {}) as Record<string, unknown>
  const mac = parseMac(VtepMAC)
  if (mac === null) {
    const problem = `is ${show(text)}, without a usable VtepMAC; ignored`
    complain({ field: field(key), problem, remedy: 'restart the agent of that node: it writes it again' })
  }
  return { mac, vni: typeof VNI === 'number' ? VNI : null }
}

const field = (key: string): string => `metadata.annotations[${key}]`

const PREFIX = 'flannel.alpha.coreos.com'
const BACKEND_TYPE = `${PREFIX}/backend-type`
const SUBNET_MANAGER = `${PREFIX}/kube-subnet-manager`
const NAMES = {
  4: {
    overwrite: `${PREFIX}/public-ip-overwrite`,
    own: `${PREFIX}/public-ip`,
    data: `${PREFIX}/backend-data`,
  },
  6: {
    overwrite: `${PREFIX}/public-ipv6-overwrite`,
    own: `${PREFIX}/public-ipv6`,
    data: `${PREFIX}/backend-v6-data`,
  },
} as const

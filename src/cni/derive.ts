import { contains } from '../cluster/address.ts'
import type { Node } from '../cluster/node.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { derive, type Derived, type Read } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import { conflist, textOf } from './conflist.ts'
import type { Conflist, Lease } from './rows.ts'

export interface CniOptions {
  /** Name of this node. */
  readonly node: string
  /** As PodLinks has it. */
  readonly dataDir: string | null
}

export interface CniInputs {
  readonly nodes: Readable<Node>
  /** Devices that carry pods' packets to other nodes, index `all`; null: there are none, and never will be. */
  readonly devices: Readable<{ readonly mtu: number }> | null
  /** Index: `all`. */
  readonly leases: Readable<Lease>
}

export interface CniTables {
  /** Nothing while it is not known: what pods are given now is theirs for as long as they run. */
  readonly conflist: Derived<Conflist>
  readonly rejections: Derived<Rejection>
}

export function deriveCni(graph: Graph, inputs: CniInputs, options: CniOptions): CniTables {
  const { nodes, devices, leases } = inputs
  return {
    conflist: derive<Conflist, Node>(graph, {
      name: 'conflist',
      driver: nodes,
      inputs: devices === null ? [] : [devices],
      rows: (key, { podCIDRs }, read) => {
        if (key !== options.node || podCIDRs.length === 0) return []
        const mtu = mtuOf(devices, read)
        if (mtu === undefined) return []
        return [['', { text: textOf(conflist({ ranges: podCIDRs, mtu, dataDir: options.dataDir })) }]]
      },
    }),
    rejections: derive<Rejection, Node>(graph, {
      name: 'conflist problems',
      driver: nodes,
      inputs: [leases],
      rows: (key, node, read) => {
        if (key !== options.node) return []
        const held = read.by(leases, 'all', '').map(([, { ip }]) => ip)
        return problemsOf(node, held).map((each, i) => [`${key} conflist ${i}`, each])
      },
    }),
  }
}

/** undefined: not known yet. */
function mtuOf(devices: CniInputs['devices'], read: Read): number | null | undefined {
  if (devices === null) return null
  const mtus = read.by(devices, 'all', '').map(([, { mtu }]) => mtu)
  return mtus.length === 0 ? undefined : Math.min(...mtus)
}

function problemsOf({ name, podCIDRs }: Node, held: readonly string[]): readonly Rejection[] {
  const object = `Node ${name}`
  const field = 'spec.podCIDRs'
  if (podCIDRs.length === 0) {
    const problem = `is empty: no pod can start here${held.length > 0 ? `, and ${held.length} addresses are in use` : ''}`
    const remedy = 'let kube-controller-manager give out ranges: --allocate-node-cidrs --cluster-cidr=10.244.0.0/16'
    return [{ object, field, problem, remedy }]
  }
  const astray = held.filter((ip) => !podCIDRs.some((cidr) => contains(cidr, ip)))
  if (astray.length === 0) return []
  const some = astray.slice(0, NAMED_MAX).join(', ') + (astray.length > NAMED_MAX ? ', ...' : '')
  const problem = `is ${podCIDRs.join(', ')}, but ${astray.length} addresses of pods here are of another range (${some}): other nodes do not reach them`
  return [
    { object, field, problem, remedy: 'delete those pods: what takes their place has addresses of the new range' },
  ]
}

const NAMED_MAX = 3

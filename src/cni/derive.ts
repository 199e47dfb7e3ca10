import { join } from 'node:path'
import { contains } from '../cluster/address.ts'
import type { Node } from '../cluster/node.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { derive, type Derived, type Read } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import { conflist, FILE, textOf } from './conflist.ts'
import type { Conflist, Forerunner, Lease } from './rows.ts'

export interface CniOptions {
  /** Name of this node. */
  readonly node: string
  /** Where container runtimes look for conflists. */
  readonly folder: string
  /** As PodLinks has it. */
  readonly dataDir: string | null
}

export interface CniInputs {
  readonly nodes: Readable<Node>
  /** Devices that carry pods' packets to other nodes, index `all`; null: there are none, and never will be. */
  readonly devices: Readable<{ readonly mtu: number }> | null
  /** Index: `all`. */
  readonly leases: Readable<Lease>
  /** Index: `all`. */
  readonly forerunners: Readable<Forerunner>
}

export interface CniTables {
  /** Nothing while it is not known: what pods are given now is theirs for as long as they run. */
  readonly conflist: Derived<Conflist>
  readonly rejections: Derived<Rejection>
}

export function deriveCni(graph: Graph, inputs: CniInputs, options: CniOptions): CniTables {
  const { nodes, devices, leases, forerunners } = inputs
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
      inputs: [leases, forerunners],
      rows: (key, node, read) => {
        if (key !== options.node) return []
        const held = read.by(leases, 'all', '').map(([, { ip }]) => ip)
        const before = read.by(forerunners, 'all', '').map(([, each]) => each)
        const problems = [...problemsOf(node, held), ...overtaken(node, before, options.folder)]
        return problems.map((each, i) => [`${key} conflist ${i}`, each])
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

/** Runtimes take the first only; the others are named with it, for each would be the next. */
function overtaken({ name }: Node, before: readonly Forerunner[], folder: string): readonly Rejection[] {
  const sorted = before.toSorted((a, b) => (a.file < b.file ? -1 : 1))
  const [first] = sorted
  if (first === undefined) return []
  const problem = `has ${first.file} (${first.what}), which comes before ${FILE}: new pods here get their network from it, not from this agent`
  const files = sorted.map(({ file }) => join(folder, file)).join(' and ')
  const remedy = `remove ${files}, but first the program that writes it (flannel's, Calico's and others' pods do so at each start); or leave pods to that program: --cni-conf-dir ''`
  return [{ object: `Node ${name}`, field: folder, problem, remedy }]
}

const NAMED_MAX = 3

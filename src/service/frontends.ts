import type { Key } from '../core/delta.ts'
import type { Backend, Opening, Plan } from './plan.ts'
import {
  addressKey,
  frontendKey,
  hairpinKey,
  slotKey,
  sourceKey,
  type Frontend,
  type FrontendAddress,
  type ServiceRow,
  type Slot,
} from './rows.ts'
import { layOut, MAX_EXACT, placesFor, type Layout, type Members } from './slots.ts'

/** The rows of a Service, but for the slots of sets with more than MAX_EXACT endpoints: those are rows of shards. */
export function rowsOf(plan: Plan): readonly (readonly [Key, ServiceRow])[] {
  const rows: [Key, ServiceRow][] = []
  const layouts = plan.backends.map(({ cluster, local }) => ({ cluster: small(cluster), local: small(local) }))
  for (const opening of plan.openings) {
    const backend = plan.backends[opening.backend]!
    rows.push([frontendKey(opening.at), frontend(plan, backend, opening)])
    for (const cidr of opening.sources ?? []) {
      rows.push([sourceKey(opening.at, cidr), { kind: 'source', at: opening.at, cidr }])
    }
    for (const { set, from } of setsOf(plan, opening)) {
      addSlots(rows, opening.at, set, layouts[opening.backend]![from], plan.affinity > 0)
    }
  }
  for (const ip of plan.clusterIPs) rows.push([addressKey(ip), { kind: 'address', ip }])
  for (const { here } of plan.backends) for (const ip of here) rows.push([hairpinKey(ip), { kind: 'hairpin', ip }])
  return rows
}

/** Which endpoints of its backend an opening's sets hold. */
export function setsOf(plan: Plan, { kind }: Opening): readonly { set: Slot['set']; from: 'cluster' | 'local' }[] {
  if (kind === 'cluster-ip') return plan.internalLocal ? MAIN_LOCAL : MAIN_CLUSTER
  return plan.externalLocal ? SPLIT : MAIN_CLUSTER
}

export function addSlots(
  rows: [Key, ServiceRow][],
  at: FrontendAddress,
  set: Slot['set'],
  { slots, ips, ports, ids }: Layout,
  affinity: boolean,
): void {
  for (let i = 0; i < slots.length; i++) {
    const slot = slots[i]!
    const id = affinity ? ids[i]! : 0
    rows.push([slotKey(at, set, slot), { kind: 'slot', at, set, slot, ip: ips[i]!, port: ports[i]!, id }])
  }
}

/** True when two rows under one key say the same. What the key says is the same already. */
export function sameRow(a: ServiceRow, b: ServiceRow): boolean {
  if (a === b) return true
  if (a.kind === 'slot') return b.kind === 'slot' && a.ip === b.ip && a.port === b.port && a.id === b.id
  if (a.kind === 'frontend') return b.kind === 'frontend' && sameFrontend(a, b)
  return true
}

function frontend(plan: Plan, backend: Backend, opening: Opening): Frontend {
  const isInternal = opening.kind === 'cluster-ip'
  const count = new Map(setsOf(plan, opening).map(({ set, from }) => [set, placesFor(backend[from]!.ips.length)]))
  const local = count.get('local') ?? null
  // KEP-2086, KEP-1669: refused when nothing could answer anywhere, dropped when only this node has nothing.
  const emptyHere = backend.any ? 'drop' : 'reject'
  return {
    kind: 'frontend',
    ip: opening.at.ip,
    protocol: opening.at.protocol,
    port: opening.at.port,
    scope: isInternal ? 'cluster' : 'external',
    slots: count.get('main')!,
    local,
    mainEmpty: isInternal && plan.internalLocal ? emptyHere : 'reject',
    localEmpty: local === null ? 'reject' : emptyHere,
    affinity: plan.affinity,
    pool: backend.pool,
    filtered: opening.sources !== null,
    service: backend.title,
  }
}

const small = (members: Members | null): Layout =>
  layOut(members !== null && members.ips.length <= MAX_EXACT ? members : NOBODY)

function sameFrontend(a: Frontend, b: Frontend): boolean {
  return (
    a.scope === b.scope &&
    a.slots === b.slots &&
    a.local === b.local &&
    a.mainEmpty === b.mainEmpty &&
    a.localEmpty === b.localEmpty &&
    a.affinity === b.affinity &&
    a.pool === b.pool &&
    a.filtered === b.filtered &&
    a.service === b.service
  )
}

const MAIN_CLUSTER = [{ set: 'main', from: 'cluster' }] as const
const MAIN_LOCAL = [{ set: 'main', from: 'local' }] as const
const SPLIT = [
  { set: 'main', from: 'cluster' },
  { set: 'local', from: 'local' },
] as const
const NOBODY: Members = { ips: [], ports: [] }

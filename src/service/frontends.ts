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
} from './rows.ts'
import { layOut, type Layout, type Members } from './slots.ts'

/** The rows of a Service. */
export function rowsOf(plan: Plan): readonly (readonly [Key, ServiceRow])[] {
  const rows: [Key, ServiceRow][] = []
  const layouts = plan.backends.map(({ cluster, local }) => ({ cluster: laidOut(cluster), local: laidOut(local) }))
  for (const opening of plan.openings) {
    const backend = plan.backends[opening.backend]!
    const { cluster, local } = layouts[opening.backend]!
    const isInternal = opening.kind === 'cluster-ip'
    const main = isInternal && plan.internalLocal ? local! : cluster!
    const split = !isInternal && plan.externalLocal ? local! : null
    rows.push([frontendKey(opening.at), frontend(plan, backend, opening, main.layout, split?.layout ?? null)])
    for (const cidr of opening.sources ?? [])
      rows.push([sourceKey(opening.at, cidr), { kind: 'source', at: opening.at, cidr }])
    addSlots(rows, opening.at, 'main', main, plan.affinity > 0)
    if (split !== null) addSlots(rows, opening.at, 'local', split, plan.affinity > 0)
  }
  for (const ip of plan.clusterIPs) rows.push([addressKey(ip), { kind: 'address', ip }])
  for (const { here } of plan.backends) for (const ip of here) rows.push([hairpinKey(ip), { kind: 'hairpin', ip }])
  return rows
}

/** True when two rows under one key say the same. What the key says is the same already. */
export function sameRow(a: ServiceRow, b: ServiceRow): boolean {
  if (a === b) return true
  if (a.kind === 'slot') return b.kind === 'slot' && a.ip === b.ip && a.port === b.port && a.id === b.id
  if (a.kind === 'frontend') return b.kind === 'frontend' && sameFrontend(a, b)
  return true
}

function frontend(
  plan: Plan,
  backend: Backend,
  { at, kind, sources }: Opening,
  main: Layout,
  local: Layout | null,
): Frontend {
  const isInternal = kind === 'cluster-ip'
  // KEP-2086, KEP-1669: refused when nothing could answer anywhere, dropped when only this node has nothing.
  const emptyHere = backend.any ? 'drop' : 'reject'
  return {
    kind: 'frontend',
    ip: at.ip,
    protocol: at.protocol,
    port: at.port,
    scope: isInternal ? 'cluster' : 'external',
    slots: main.places,
    local: local === null ? null : local.places,
    mainEmpty: isInternal && plan.internalLocal ? emptyHere : 'reject',
    localEmpty: local === null ? 'reject' : emptyHere,
    affinity: plan.affinity,
    pool: backend.pool,
    filtered: sources !== null,
    service: backend.title,
  }
}

function addSlots(
  rows: [Key, ServiceRow][],
  at: FrontendAddress,
  set: 'main' | 'local',
  { members, layout }: LaidOut,
  affinity: boolean,
): void {
  for (let i = 0; i < layout.slots.length; i++) {
    const slot = layout.slots[i]!
    const member = layout.members[i]!
    const row: ServiceRow = {
      kind: 'slot',
      at,
      set,
      slot,
      ip: members.ips[member]!,
      port: members.ports[member]!,
      id: affinity ? layout.ids[i]! : 0,
    }
    rows.push([slotKey(at, set, slot), row])
  }
}

interface LaidOut {
  readonly members: Members
  readonly layout: Layout
}

const laidOut = (members: Members | null): LaidOut | null => members && { members, layout: layOut(members) }

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

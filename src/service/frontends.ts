import type { Key } from '../core/delta.ts'
import { unpack, type Packed } from './members.ts'
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
import { layOut, MAX_EXACT, placesFor, type Layout } from './slots.ts'

/** A frontend, and what its other rows follow from: those of 100,000 endpoints are made when asked for, never held. */
export interface Opened {
  readonly at: FrontendAddress
  readonly frontend: Frontend
  /** Client ranges that are let in; null: everybody. */
  readonly sources: readonly string[] | null
  /** Endpoints of its sets; null: no such set, or one of more than MAX_EXACT, whose slots are rows of shards. */
  readonly main: Packed | null
  readonly local: Packed | null
  /** Endpoints that flows may go on to; null: see flows.ts. */
  readonly serving: Packed | null
}

/** By frontendKey. */
export function openedOf(plan: Plan): readonly (readonly [Key, Opened])[] {
  return plan.openings.map((opening) => {
    const backend = plan.backends[opening.backend]!
    const sets = new Map(setsOf(plan, opening).map(({ set, from }) => [set, backend[from]]))
    const opened: Opened = {
      at: opening.at,
      frontend: frontend(plan, backend, opening),
      sources: opening.sources,
      main: small(sets.get('main')),
      local: small(sets.get('local')),
      serving: backend.serving,
    }
    return [frontendKey(opening.at), opened]
  })
}

/** The rows of a frontend, but for the slots of large sets. */
export function rowsOf(
  key: Key,
  { at, frontend, sources, main, local }: Opened,
): readonly (readonly [Key, ServiceRow])[] {
  const rows: [Key, ServiceRow][] = [[key, frontend]]
  for (const cidr of sources ?? []) rows.push([sourceKey(at, cidr), { kind: 'source', at, cidr }])
  const hasAffinity = frontend.affinity > 0
  if (main !== null) addSlots(rows, at, 'main', layOut(unpack(main)), hasAffinity)
  if (local !== null) addSlots(rows, at, 'local', layOut(unpack(local)), hasAffinity)
  return rows
}

/** The frontendKey of whose rows `key` is one. */
export function ownerOf(key: Key): Key | undefined {
  const [kind, ip, protocol, port] = key.split(' ', 4)
  return kind === 's' || kind === 'f' || kind === 'l' || kind === 'c' ? `f ${ip} ${protocol} ${port}` : undefined
}

/** The addresses of a Service, and those of its endpoints on this node. */
export function addressesOf(plan: Plan): readonly (readonly [Key, ServiceRow])[] {
  const rows: [Key, ServiceRow][] = []
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
  const count = new Map(setsOf(plan, opening).map(({ set, from }) => [set, placesFor(backend[from]!.count)]))
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

const small = (members: Packed | null | undefined): Packed | null =>
  members === null || members === undefined || members.count > MAX_EXACT ? null : members

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

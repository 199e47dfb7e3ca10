import type { Delta, Key } from '../../core/delta.ts'
import { asTable, type Readable } from '../../core/table.ts'
import { frontendKey, slotKey, type Frontend, type FrontendAddress, type ServiceRow, type Slot } from '../rows.ts'

/** A frontend whose flows may be stale, and the endpoints that flows may still go to. */
export interface Suspect {
  readonly ip: string
  readonly protocol: 'udp' | 'tcp'
  readonly port: number
  /** `10.1.1.2:53`, `[fd00::2]:53`. Empty: no flow is good. For tcp always: only what was never translated is stale. */
  readonly endpoints: readonly string[]
}

/**
 * UDP has no connections that end: a flow that conntrack knows keeps going where it went, also after that endpoint is gone,
 * and also if it began before the frontend was programmed and so goes nowhere (kubernetes issues 48370, 122740, 139628).
 * This says which frontends lost an endpoint, got their first one, or are gone; flows to the others are never touched.
 * TCP ends by itself; but a SYN that left before its frontend was programmed made an entry that each retransmission keeps
 * alive and untranslated (kubernetes issue 48719).
 *
 * Endpoints are those of the table as it is when somebody asks, which may be ahead of the delta: so no flow goes whose
 * endpoint has come back meanwhile.
 */
export class Suspects {
  readonly #rows: Readable<ServiceRow>
  /** UDP frontends that flows may have been made to: all there are, and those that are gone until their flows are, too. */
  readonly #known = new Map<Key, FrontendAddress>()

  constructor(rows: Readable<ServiceRow>) {
    this.#rows = rows
    const know = (key: Key, row: ServiceRow | undefined): void => {
      if (row?.kind === 'frontend') this.#know(key, row)
    }
    for (const [key, row] of rows.entries()) know(key, row)
    asTable(rows).watch({ changed: (key, _, row) => know(key, row) })
  }

  /** Frontends that were served before, by whomever; returns those of them that are no more. */
  inherit(before: Iterable<FrontendAddress>): readonly Suspect[] {
    for (const at of before) this.#know(frontendKey(at), at)
    return [...this.#known].filter(([key]) => !this.#rows.has(key)).map(([, at]) => suspect(at, []))
  }

  /** Whose flows must be looked at because of a delta that was committed. */
  of(delta: Delta<ServiceRow>): readonly Suspect[] {
    return delta.from === 0 ? [...this.#all()] : [...this.#lost(delta), ...begunTooEarly(delta)]
  }

  /** The flows of these frontends were cleaned. */
  cleaned(delta: Delta<ServiceRow> | null, suspects: readonly Suspect[]): void {
    const forget = (key: Key): void => void (this.#rows.has(key) || this.#known.delete(key))
    for (const each of suspects) if (each.endpoints.length === 0) forget(frontendKey(each))
    for (const key of delta?.drop ?? []) forget(key)
  }

  #know(key: Key, { ip, protocol, port }: FrontendAddress): void {
    if (protocol === 'udp') this.#known.set(key, { ip, protocol, port })
  }

  /** After a full load nobody knows what came before: all are looked at, and what is gone. */
  *#all(): Iterable<Suspect> {
    const endpoints = new Map<Key, Set<string>>()
    for (const [, row] of this.#rows.entries()) {
      if (row.kind === 'slot' && row.at.protocol === 'udp') put(endpoints, frontendKey(row.at), text(row))
      else if (row.kind === 'frontend' && row.protocol === 'tcp' && row.slots > 0) yield suspect(row, [])
    }
    for (const [key, at] of this.#known) yield suspect(at, endpoints.get(key) ?? [])
  }

  *#lost(delta: Delta<ServiceRow>): Iterable<Suspect> {
    const touched = new Map<Key, FrontendAddress>()
    const before = new Map<Key, Set<string>>()
    for (const was of delta.was.values()) {
      if (was.kind !== 'slot' || was.at.protocol !== 'udp') continue
      touched.set(frontendKey(was.at), was.at)
      put(before, frontendKey(was.at), text(was))
    }
    const first = new Set<Key>()
    for (const [key, row] of delta.put) {
      if (row.kind !== 'frontend' || row.protocol !== 'udp' || !serves(row) || serves(delta.was.get(key))) continue
      touched.set(key, row)
      first.add(key)
    }
    for (const [key, at] of touched) {
      const now = this.#endpointsOf(key, at)
      const lost = [...(before.get(key) ?? [])].some((endpoint) => !now.has(endpoint))
      if (lost || first.has(key)) yield suspect(at, now)
    }
  }

  #endpointsOf(key: Key, at: FrontendAddress): ReadonlySet<string> {
    const frontend = this.#rows.get(key)
    const found = new Set<string>()
    if (frontend?.kind !== 'frontend') return found
    for (const [set, slots] of [
      ['main', frontend.slots],
      ['local', frontend.local ?? 0],
    ] as const)
      for (let i = 0; i < slots; i++) {
        const slot = this.#rows.get(slotKey(at, set, i))
        if (slot?.kind === 'slot') found.add(text(slot))
      }
    return found
  }
}

/**
 * TCP frontends that are new: those of addresses from outside the service ranges, since what is sent to a ClusterIP that
 * does not exist yet is dropped and leaves no entry.
 */
function* begunTooEarly(delta: Delta<ServiceRow>): Iterable<Suspect> {
  for (const [key, row] of delta.put) {
    if (row.kind !== 'frontend' || row.protocol !== 'tcp' || row.scope !== 'external' || row.slots === 0) continue
    const was = delta.was.get(key)
    if (was?.kind !== 'frontend' || was.slots === 0) yield suspect(row, [])
  }
}

const serves = (row: ServiceRow | undefined): row is Frontend =>
  row?.kind === 'frontend' && (row.slots > 0 || (row.local ?? 0) > 0)

function suspect({ ip, protocol, port }: FrontendAddress, endpoints: Iterable<string>): Suspect {
  return { ip, protocol: protocol === 'tcp' ? 'tcp' : 'udp', port, endpoints: [...endpoints].sort() }
}

function put(sets: Map<Key, Set<string>>, key: Key, member: string): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([member]))
  else set.add(member)
}

const text = (slot: Slot): string => (slot.ip.includes(':') ? `[${slot.ip}]:${slot.port}` : `${slot.ip}:${slot.port}`)

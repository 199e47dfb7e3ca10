import type { Delta, Key } from '../../core/delta.ts'
import { frontendKey, type FrontendAddress, type ServiceRow, type Slot } from '../rows.ts'

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
 */
export class StaleFlows {
  /** By frontend, then slot: the endpoint there. */
  readonly #frontends = new Map<Key, { readonly at: FrontendAddress; readonly slots: Map<Key, string> }>()

  /** Takes a delta that was committed; returns whose flows must be looked at. */
  committed(delta: Delta<ServiceRow>): readonly Suspect[] {
    const before = new Map<Key, ReadonlySet<string>>()
    const touch = (key: Key): void => {
      if (!before.has(key)) before.set(key, new Set(this.#frontends.get(key)?.slots.values()))
    }
    if (delta.from === 0) {
      for (const key of this.#frontends.keys()) touch(key)
      for (const { slots } of this.#frontends.values()) slots.clear()
    }
    for (const key of delta.drop) {
      const row = delta.was.get(key)
      if (row?.kind !== 'slot' || row.at.protocol !== 'udp') continue
      touch(frontendKey(row.at))
      this.#frontends.get(frontendKey(row.at))?.slots.delete(key)
    }
    for (const [key, row] of delta.put) {
      if (row.kind !== 'slot' || row.at.protocol !== 'udp') continue
      touch(frontendKey(row.at))
      this.#slotsOf(row.at).set(key, text(row))
    }
    return [...[...before].flatMap(([key, was]) => this.#suspect(key, was, delta.from === 0)), ...begunTooEarly(delta)]
  }

  #suspect(key: Key, was: ReadonlySet<string>, full: boolean): readonly Suspect[] {
    const frontend = this.#frontends.get(key)
    if (frontend === undefined) return []
    const { at, slots } = frontend
    const now = new Set(slots.values())
    if (now.size === 0) this.#frontends.delete(key)
    const lost = [...was].some((endpoint) => !now.has(endpoint))
    const first = was.size === 0 && now.size > 0
    // After a full load nobody knows what came before.
    return lost || first || full ? [{ ip: at.ip, protocol: 'udp', port: at.port, endpoints: [...now].sort() }] : []
  }

  #slotsOf(at: FrontendAddress): Map<Key, string> {
    const key = frontendKey(at)
    let frontend = this.#frontends.get(key)
    if (frontend === undefined) this.#frontends.set(key, (frontend = { at, slots: new Map() }))
    return frontend.slots
  }
}

/**
 * TCP frontends that are new: all after a full load; else those of addresses from outside the service ranges, since what
 * is sent to a ClusterIP that does not exist yet is dropped and leaves no entry.
 */
function* begunTooEarly(delta: Delta<ServiceRow>): Iterable<Suspect> {
  for (const [key, row] of delta.put) {
    if (row.kind !== 'frontend' || row.protocol !== 'tcp' || row.slots === 0) continue
    const was = delta.was.get(key)
    const isNew = was?.kind !== 'frontend' || was.slots === 0
    if (delta.from === 0 || (isNew && row.scope === 'external'))
      yield { ip: row.ip, protocol: 'tcp', port: row.port, endpoints: [] }
  }
}

const text = (slot: Slot): string => (slot.ip.includes(':') ? `[${slot.ip}]:${slot.port}` : `${slot.ip}:${slot.port}`)

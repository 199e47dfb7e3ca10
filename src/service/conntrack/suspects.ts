import type { Delta, Key } from '../../core/delta.ts'
import { asTable, type Readable } from '../../core/table.ts'
import type { Flows } from '../flows.ts'
import { pack, unpack, type Members, type Packed } from '../members.ts'
import { frontendKey, type FrontendAddress } from '../rows.ts'

/** A frontend whose flows may be stale, and the endpoints that flows may still go to. */
export interface Suspect {
  readonly ip: string
  readonly protocol: FrontendAddress['protocol']
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
  readonly #flows: Readable<Flows>
  /** UDP frontends that went, until their flows were looked at; also those that nobody was told of, or that are back. */
  readonly #gone = new Map<Key, FrontendAddress>()

  constructor(flows: Readable<Flows>) {
    this.#flows = flows
    asTable(flows).watch({
      changed: (key, was, now) => {
        if (now === undefined && was!.endpoints !== null) this.#gone.set(key, was!.at)
      },
    })
  }

  /** Frontends that were served before, by whomever; returns those of them that are no more. */
  inherit(before: Iterable<FrontendAddress>): readonly Suspect[] {
    for (const at of before) {
      const key = frontendKey(at)
      if (at.protocol === 'udp' && !this.#flows.has(key)) this.#gone.set(key, at)
    }
    return this.#look(this.#gone)
  }

  /** Whose flows must be looked at because of a delta that was committed. */
  of(delta: Delta<Flows>): readonly Suspect[] {
    return this.#look([...(delta.from === 0 ? this.#all() : this.#changed(delta)), ...this.#gone])
  }

  /** The flows of these frontends were cleaned. */
  cleaned(suspects: readonly Suspect[]): void {
    for (const each of suspects) this.#gone.delete(frontendKey(each))
  }

  /** After a full load nobody knows what came before. */
  *#all(): Iterable<readonly [Key, FrontendAddress]> {
    for (const [key, { at, endpoints, serves }] of this.#flows.entries()) {
      if (endpoints !== null || serves) yield [key, at]
    }
  }

  *#changed(delta: Delta<Flows>): Iterable<readonly [Key, FrontendAddress]> {
    for (const [key, row] of delta.put) if (mayHaveBegunTooEarly(delta.was.get(key), row)) yield [key, row.at]
    for (const [key, was] of delta.was) if (lost(was, this.#flows.get(key))) yield [key, was.at]
  }

  /** Each once, with the endpoints that it has now. */
  #look(frontends: Iterable<readonly [Key, FrontendAddress]>): readonly Suspect[] {
    // Frontends of one ServicePort share theirs.
    const spelt = new Map<Packed, readonly string[]>()
    return [...new Map(frontends)].map(([key, { ip, protocol, port }]) => {
      const packed = this.#flows.get(key)?.endpoints ?? NOBODY
      const endpoints = spelt.get(packed) ?? texts(unpack(packed))
      spelt.set(packed, endpoints)
      return { ip, protocol, port, endpoints }
    })
  }
}

/**
 * Its first endpoint. Of TCP only at addresses from outside the service ranges, since what is sent to a ClusterIP that does
 * not exist yet is dropped and leaves no entry.
 */
const mayHaveBegunTooEarly = (was: Flows | undefined, now: Flows): boolean =>
  now.serves && was?.serves !== true && (now.endpoints !== null || now.scope === 'external')

/** Did a UDP frontend lose an endpoint, or is it gone? */
function lost({ endpoints: was }: Flows, now: Flows | undefined): boolean {
  if (was === null || now === undefined) return was !== null
  if (was === now.endpoints) return false
  const [before, after] = differing(unpack(was), unpack(now.endpoints!))
  const kept = new Set(texts(after))
  return texts(before).some((endpoint) => !kept.has(endpoint))
}

/** Without what both begin and end with: of thousands, one comes or goes. */
function differing(a: Members, b: Members): readonly [Members, Members] {
  const equal = (i: number, j: number) => a.ips[i] === b.ips[j] && a.ports[i] === b.ports[j]
  let [start, endA, endB] = [0, a.ips.length, b.ips.length]
  while (start < endA && start < endB && equal(start, start)) start++
  while (endA > start && endB > start && equal(endA - 1, endB - 1)) [endA, endB] = [endA - 1, endB - 1]
  return [cut(a, start, endA), cut(b, start, endB)]
}

const cut = ({ ips, ports }: Members, start: number, end: number): Members => ({
  ips: ips.slice(start, end),
  ports: ports.slice(start, end),
})

function texts({ ips, ports }: Members): readonly string[] {
  return ips.map((ip, i) => (ip.includes(':') ? `[${ip}]:${ports[i]}` : `${ip}:${ports[i]}`))
}

const NOBODY = pack({ ips: [], ports: [] })

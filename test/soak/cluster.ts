/** A small cluster that changes at random: Services that come, go, and become others. */
import { endpoint, externalName, named, namespace, service, slice } from '../contract/dns-objects.ts'
import type { Raw } from '../contract/service-objects.ts'

const NAMESPACES = ['x', 'y', 'z']
/** Of a namespace; the first are there for others to be aliases of. */
const SERVICES = 60
const TARGETS = 5

export class Cluster {
  /** By Service; what is not there has no objects. */
  readonly #held = new Map<string, readonly Raw[]>()
  readonly #random: () => number
  #generation = 0

  constructor(random: () => number) {
    this.#random = random
    for (const path of this.#paths()) this.#held.set(path, this.#make(path))
  }

  /** What of it changes; the marker changes each time. */
  change(): void {
    this.#generation++
    const paths = this.#paths()
    for (let left = 1 + this.#below(30); left > 0; left--) {
      const path = paths[this.#below(paths.length)]!
      this.#held.set(path, this.#make(path))
    }
  }

  objects(): readonly Raw[] {
    const all = [...this.#held.values()].flat()
    return [...NAMESPACES.map((name) => namespace(name)), ...all, service('x/marker', [this.marker])]
  }

  /** The address of `marker.x.svc.cluster.local.` now. */
  get marker(): string {
    return `10.200.${(this.#generation >> 8) & 255}.${this.#generation & 255}`
  }

  /** A name to ask for, and a type: of something that is there, or may be. */
  question(): { readonly name: string; readonly type: 'A' | 'SRV' | 'PTR' } {
    const [space, name] = this.#paths()[this.#below(NAMESPACES.length * SERVICES)]!.split('/')
    const host = `${name}.${space}.svc.cluster.local.`
    switch (this.#below(6)) {
      case 0:
        return { name: `_http._tcp.${host}`, type: 'SRV' }
      case 1:
        return { name: `h${this.#below(4)}.${host}`, type: 'A' }
      case 2:
        return { name: `${this.#below(256)}.${this.#below(4)}.96.10.in-addr.arpa.`, type: 'PTR' }
      default:
        return { name: host, type: 'A' }
    }
  }

  #paths(): readonly string[] {
    return NAMESPACES.flatMap((space) => Array.from({ length: SERVICES }, (_, i) => `${space}/s${i}`))
  }

  #make(path: string): readonly Raw[] {
    const isTarget = Number(path.split('/s')[1]) < TARGETS
    const kind = isTarget ? 9 : this.#below(10)
    if (kind === 0) return []
    if (kind === 1) return [externalName(path, `s${this.#below(TARGETS)}.x.svc.cluster.local`)]
    if (kind <= 4) {
      const endpoints = Array.from({ length: 1 + this.#below(4) }, (_, i) => this.#endpoint(i))
      return [service(path, 'None'), slice(`${path}-1`, path.split('/')[1]!, endpoints)]
    }
    return [service(path, [`10.96.${this.#below(4)}.${this.#below(256)}`])]
  }

  #endpoint(i: number): Raw {
    const address = `10.244.${this.#below(4)}.${this.#below(256)}`
    return this.#below(2) === 0 ? named(`h${i}`, address) : endpoint(address)
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound)
  }
}

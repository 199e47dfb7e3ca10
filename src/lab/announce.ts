/**
 * Who announces load-balancer addresses: a simple stand-in. Every address of the pool goes to all nodes (network.ts); one of
 * a Service with externalTrafficPolicy Local only to the nodes that have an endpoint, by a route of its own in `outside`.
 */
import { describe, exec } from '../kernel/exec.ts'
import type { Store } from './api/store.ts'
import type { NodePlan } from './plan.ts'
import { announced } from './reach.ts'

export class Announcer {
  readonly #store: Store
  readonly #plans: ReadonlyMap<string, NodePlan>
  readonly #onProblem: (problem: string) => void
  /** What `outside` has: by address the group's id and what is in it. */
  readonly #routes = new Map<string, { readonly id: number; readonly nodes: string }>()
  #lastId = FIRST_GROUP
  #isDue = false
  #isWorking = false

  constructor(store: Store, plans: readonly NodePlan[], onProblem: (problem: string) => void) {
    this.#store = store
    this.#plans = new Map(plans.map((plan) => [plan.name, plan]))
    this.#onProblem = onProblem
  }

  /** Follows the cluster from now on. Call once `outside` is there. */
  start(): void {
    this.#store.onChange(({ resource }) => {
      if (resource.plural === 'services' || resource.plural === 'endpointslices') this.#mark()
    })
    this.#mark()
  }

  #mark(): void {
    if (this.#isDue) return
    this.#isDue = true
    if (!this.#isWorking) setImmediate(() => void this.#work())
  }

  /** One at a time; what changes meanwhile is done after it. */
  async #work(): Promise<void> {
    this.#isWorking = true
    while (this.#isDue) {
      this.#isDue = false
      const lines = this.#lines()
      if (lines.length === 0) continue
      const done = await exec(['ip', '-n', 'outside', '-batch', '-'], { stdin: lines.join('\n') + '\n' })
      if (done.kind === 'done') continue
      this.#onProblem(`load-balancer addresses are not routed as they should be: ${describe(done)}`)
    }
    this.#isWorking = false
  }

  #lines(): string[] {
    const wanted = announced(this.#store)
    const lines: string[] = []
    for (const [address, { id }] of this.#routes) {
      if (wanted.has(address)) continue
      this.#routes.delete(address)
      lines.push(`route del ${address}`, `nexthop del id ${id}`)
    }
    for (const [address, names] of wanted) {
      const nodes = names.flatMap((name) => (this.#plans.has(name) ? nextHop(this.#plans.get(name)!, address) : []))
      const current = this.#routes.get(address)
      if (nodes.length === 0 || current?.nodes === nodes.join('/')) continue
      const id = current?.id ?? ++this.#lastId
      this.#routes.set(address, { id, nodes: nodes.join('/') })
      lines.push(`nexthop replace id ${id} group ${nodes.join('/')} ${RESILIENT}`)
      if (current === undefined) lines.push(`route replace ${address} nhid ${id}`)
    }
    return lines
  }
}

/** What the routes of `announce` lead through: a line for each node and family, for `ip -batch` in `outside`. */
export function nextHops(plans: readonly NodePlan[]): string[] {
  return plans.flatMap((plan) => [
    `nexthop add id ${nextHop(plan, plan.ipv4)} via ${plan.ipv4} dev eth0`,
    `nexthop add id ${nextHop(plan, plan.ipv6)} via ${plan.ipv6} dev eth0`,
  ])
}

function nextHop({ number }: NodePlan, address: string): number {
  return address.includes(':') ? IPV6 + number : number
}

const IPV6 = 100
const FIRST_GROUP = 1000
/** When the nodes change, a connection stays with its node while that is one of them (Documentation/networking/nexthop-group-resilient.rst). */
const RESILIENT = 'type resilient buckets 128 idle_timer 60'

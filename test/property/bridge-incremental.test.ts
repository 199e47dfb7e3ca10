import fc from 'fast-check'
import t from 'tap'
import { deriveBridges } from '../../src/bridge/derive.ts'
import { createBridges, createRoutes } from '../../src/bridge/found.ts'
import type { Node } from '../../src/cluster/node.ts'
import { Graph } from '../../src/core/graph.ts'
import { InputTable } from '../../src/core/table.ts'

const addresses = fc.subarray(['10.244.1.1/24', 'fd00:10:244:1::1/64', '172.17.0.1/16', 'fe80::1/64'])
const bridge = fc.record({
  name: fc.constantFrom('cni0', 'docker0'),
  addresses,
  isUsed: fc.boolean(),
  isFiltered: fc.boolean(),
})
const ip = fc.constantFrom('fd00:10:244:1::2', 'fd00:10:244:1::3', 'fd00:10:244:2::2')
const ranges = fc.subarray(['10.244.1.0/24', 'fd00:10:244:1::/64', 'fd00:10:244:2::/64'])
const step = fc.oneof(
  fc.record({ put: fc.constant('bridge' as const), bridge }),
  fc.record({ put: fc.constant('route' as const), ip }),
  fc.record({ put: fc.constant('node' as const), ranges }),
  fc.record({ drop: fc.constantFrom('cni0', 'docker0', 'fd00:10:244:1::2', 'n1') }),
)
type Step = typeof step extends fc.Arbitrary<infer Of> ? Of : never

class Room {
  readonly #graph = new Graph()
  readonly #nodes = new InputTable<Node>('nodes')
  readonly #bridges = createBridges()
  readonly #routes = createRoutes()
  readonly #tables

  constructor() {
    const inputs = { nodes: this.#nodes, bridges: this.#bridges, routes: this.#routes }
    this.#tables = deriveBridges(this.#graph, inputs, { node: 'n1', localPodCIDRs: null })
    for (const table of Object.values(inputs)) table.markSynced()
  }

  do(step: Step): void {
    if ('drop' in step) for (const table of [this.#nodes, this.#bridges, this.#routes]) table.drop(step.drop)
    else if (step.put === 'bridge') this.#bridges.put(step.bridge.name, step.bridge)
    else if (step.put === 'route') this.#routes.put(step.ip, { ip: step.ip })
    else this.#nodes.put('n1', { name: 'n1', podCIDRs: step.ranges } as unknown as Node)
  }

  decided(): string {
    this.#graph.settle()
    const { rows, rejections, ofPods } = this.#tables
    const lines = [rows, rejections, ofPods].flatMap((table) =>
      [...table.entries()].map((each) => JSON.stringify(each)),
    )
    return lines.sort().join('\n')
  }
}

/** What is left of a history, in any order. */
function last(steps: readonly Step[]): readonly Step[] {
  const left = new Map<string, Step>()
  for (const step of steps) {
    if ('drop' in step) left.delete(step.drop)
    else left.set(step.put === 'bridge' ? step.bridge.name : step.put === 'route' ? step.ip : 'n1', step)
  }
  return [...left.values()].toReversed()
}

t.test('incremental equals full', (t) => {
  let [proxied, unfiltered] = [0, 0]
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30, size: 'max' }), (steps) => {
      const room = new Room()
      for (const each of steps) {
        room.do(each)
        room.decided()
      }
      const full = new Room()
      for (const each of last(steps)) full.do(each)
      const [mine, whole] = [room.decided(), full.decided()]
      if (mine !== whole) throw new Error(`${mine}\nis not\n${whole}`)
      proxied += Number(/"proxied"/.test(mine))
      unfiltered += Number(/modprobe/.test(mine))
    }),
    { numRuns: 1000 },
  )
  t.ok(proxied > 20, `${proxied} histories ended with addresses that are answered for`)
  t.ok(unfiltered > 20, `${unfiltered} without br_netfilter`)
  t.end()
})

/**
 * What deciding about Services costs: all rows from nothing, one endpoint's change, memory. Pure computation, nothing
 * outside is touched. `node --expose-gc bench/service.ts [--json] [NAME ...]`; without names all run.
 */
import { packEndpoints } from '../src/cluster/endpointlist.ts'
import { createTables, type Tables } from '../src/cluster/tables.ts'
import { Cursor } from '../src/core/cursor.ts'
import { Graph } from '../src/core/graph.ts'
import { asTable } from '../src/core/table.ts'
import { deriveServices } from '../src/service/derive.ts'
import { DEFAULT_OPTIONS } from '../src/service/options.ts'

function main(): void {
  const wanted = process.argv.slice(2).filter((word) => !word.startsWith('-'))
  const results = Object.entries(BENCHES)
    .filter(([name]) => wanted.length === 0 || wanted.includes(name))
    .map(([, run]) => run())
  if (process.argv.includes('--json')) console.log(JSON.stringify(results, null, 1))
  else console.table(Object.fromEntries(results.map(({ what, ...figures }) => [what, figures])))
}

/** `services` of `size` endpoints each, in slices of 100. */
function bench(services: number, size: number, type: 'ClusterIP' | 'NodePort') {
  const tables = createTables()
  const graph = new Graph()
  const { rows } = deriveServices(graph, tables, { ...DEFAULT_OPTIONS, node: 'n1' })
  const cursor = new Cursor(asTable(rows), graph.epoch)
  fill(tables, services, size, type)
  const heapBefore = heapBytes()
  const start = cpuMs()
  graph.settle()
  cursor.take()
  const fromNothingMs = cpuMs() - start
  cursor.landed([])
  const heapAfter = heapBytes()

  const times: number[] = []
  let changes = 0
  const begin = cpuMs()
  for (let round = 0; round < ROUNDS; round++) {
    const at = (round * 7) % services
    // One endpoint turns unready, and ready again in the next round that comes by.
    const unready =
      (services === 1 ? round : Math.floor((round * 7) / services)) % 2 === 0 ? round % Math.min(size, 100) : -1
    tables.slices.put(`d/s${at}-0`, slice(at, 0, size, unready))
    const from = performance.now()
    graph.settle()
    const delta = cursor.take()
    times.push(performance.now() - from)
    changes += (delta?.put.size ?? 0) + (delta?.drop.size ?? 0)
    if (delta !== null) cursor.landed([])
  }
  times.sort((a, b) => a - b)
  return {
    what: `${services} ${type} x ${size}`,
    rows: rows.size,
    'from nothing, CPU ms': Math.round(fromNothingMs),
    'heap of inputs, MB': round(heapBefore / 1e6),
    'heap of decisions, MB': round((heapAfter - heapBefore) / 1e6),
    'change, CPU ms': round((cpuMs() - begin) / ROUNDS),
    'change, p50 ms': round(times[ROUNDS / 2]!),
    'change, p99 ms': round(times[Math.floor(ROUNDS * 0.99)]!),
    'rows a change': round(changes / ROUNDS),
  }
}

function fill(tables: Tables, services: number, size: number, type: 'ClusterIP' | 'NodePort'): void {
  const none = { externalIPs: [], loadBalancerIPs: [], sourceRanges: null, affinitySeconds: 0, healthCheckNodePort: 0 }
  for (let i = 0; i < services; i++) {
    tables.services.put(`d/s${i}`, {
      ...{ namespace: 'd', name: `s${i}`, created: 1e12 + i, type, headless: false, publishNotReady: false },
      ...{ clusterIPs: [`10.96.${i >> 8}.${i & 255}`], proxyName: null, externalName: null, dns: false, ...none },
      ports: [{ name: 'http', protocol: 'tcp', port: 80, nodePort: type === 'NodePort' ? 30_000 + i : 0 }],
      ...{ internalTrafficPolicy: 'Cluster', externalTrafficPolicy: 'Cluster' },
    })
    for (let part = 0; part * 100 < size; part++) tables.slices.put(`d/s${i}-${part}`, slice(i, part, size, -1))
  }
  tables.nodes.put('n1', {
    ...{ name: 'n1', created: 0, internalIPs: ['172.30.0.11'], externalIPs: [], podCIDRs: ['10.0.0.0/24'], zone: 'a' },
    ...{ labels: new Map(), annotations: new Map(), deleting: false, taints: [] },
  })
  for (const table of [tables.services, tables.slices, tables.nodes, tables.serviceCIDRs]) table.markSynced()
}

function slice(service: number, part: number, size: number, unready: number) {
  const first = service * size + part * 100
  const endpoints = Array.from({ length: Math.min(100, size - part * 100) }, (_, i) => {
    const number = first + i
    const address = `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`
    const state = { ready: i !== unready, serving: i !== unready, terminating: false }
    return { address, ...state, node: NODES[number % NODES.length]!, zone: 'a', hintZones: null, hintNodes: null }
  })
  const ports = [{ name: 'http', protocol: 'tcp' as const, port: 8080 }]
  const of = { namespace: 'd', name: `s${service}-${part}`, service: `s${service}`, family: 4 as const }
  return { ...of, imported: '', cluster: '', ports, endpoints: packEndpoints(endpoints), triggeredAt: 0 }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function heapBytes(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const round = (value: number) => Math.round(value * 100) / 100

const ROUNDS = 500
const NODES = Array.from({ length: 100 }, (_, i) => `n${i}`)
const BENCHES = {
  many: () => bench(10_000, 10, 'ClusterIP'),
  more: () => bench(30_000, 2, 'ClusterIP'),
  ports: () => bench(10_000, 10, 'NodePort'),
  large: () => bench(1, 5_000, 'NodePort'),
  largest: () => bench(1, 32_768, 'ClusterIP'),
}

main()

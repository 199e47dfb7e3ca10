/**
 * What making names of a cluster costs: all rows from nothing, one change, memory. Pure computation, nothing outside is
 * touched. `node --expose-gc bench/names.ts [--json] [NAME ...]`; without names all run.
 */
import { packEndpoints } from '../src/cluster/endpointlist.ts'
import type { Service } from '../src/cluster/service.ts'
import { createTables, type Tables } from '../src/cluster/tables.ts'
import { Cursor } from '../src/core/cursor.ts'
import { Graph } from '../src/core/graph.ts'
import { asTable } from '../src/core/table.ts'
import { deriveNames } from '../src/dns/derive.ts'
import { DEFAULT_OPTIONS } from '../src/dns/options.ts'
import type { NameRow } from '../src/dns/rows.ts'

interface Cluster {
  readonly services: number
  /** Endpoints of each. */
  readonly size: number
  readonly headless: boolean
  /** What a change is of. */
  readonly change: 'service' | 'endpoint'
}

function main(): void {
  const wanted = process.argv.slice(2).filter((word) => !word.startsWith('-'))
  const results = Object.entries(CLUSTERS)
    .filter(([name]) => wanted.length === 0 || wanted.includes(name))
    .map(([name, cluster]) => bench(name, cluster))
  if (process.argv.includes('--json')) console.log(JSON.stringify(results, null, 1))
  else console.table(Object.fromEntries(results.map(({ what, ...figures }) => [what, figures])))
}

function bench(what: string, cluster: Cluster) {
  const tables = createTables()
  const graph = new Graph()
  const zones = ['cluster.local.', 'in-addr.arpa.', 'ip6.arpa.']
  const { rows } = deriveNames(graph, tables, [{ ...DEFAULT_OPTIONS, set: 'k0', zones, pods: 'insecure' }])
  const cursor = new Cursor(asTable(rows), graph.epoch)
  fill(tables, cluster)
  const heapBefore = heapBytes()
  const start = cpuMs()
  graph.settle()
  const all = cursor.take()!
  const derivedMs = cpuMs() - start
  const heapAfter = heapBytes()
  let octets = 0
  for (const [key, row] of all.put) octets += JSON.stringify([key, row]).length
  const writtenMs = cpuMs() - start - derivedMs
  cursor.landed([])
  const begin = cpuMs()
  const { times, changes } = change(tables, graph, cursor, cluster)
  const changeMs = (cpuMs() - begin) / ROUNDS
  return {
    what,
    rows: rows.size,
    'from nothing, CPU ms': Math.round(derivedMs),
    'as JSON, CPU ms': Math.round(writtenMs),
    'as JSON, MB': round(octets / 1e6),
    'heap of inputs, MB': round(heapBefore / 1e6),
    'heap of decisions, MB': round((heapAfter - heapBefore) / 1e6),
    'change, CPU ms': round(changeMs),
    'change, p50 ms': round(times[ROUNDS / 2]!),
    'change, p99 ms': round(times[Math.floor(ROUNDS * 0.99)]!),
    'rows a change': round(changes / ROUNDS),
  }
}

/** From the settling to the delta; the rows of it are made. */
function change(tables: Tables, graph: Graph, cursor: Cursor<NameRow>, { services, size, headless, change }: Cluster) {
  const times: number[] = []
  let changes = 0
  for (let round = 0; round < ROUNDS; round++) {
    const at = (round * 7) % services
    // What goes comes back in the next round that passes here.
    const isFirst = (services === 1 ? round : Math.floor((round * 7) / services)) % 2 === 0
    if (change === 'service') tables.services.put(`d/s${at}`, service(at, headless, isFirst ? 81 : 80))
    else tables.slices.put(`d/s${at}-0`, slice(at, 0, size, isFirst ? round % Math.min(size, 100) : -1))
    const from = performance.now()
    graph.settle()
    const delta = cursor.take()
    times.push(performance.now() - from)
    changes += (delta?.put.size ?? 0) + (delta?.drop.size ?? 0)
    if (delta !== null) cursor.landed([])
  }
  return { times: times.sort((a, b) => a - b), changes }
}

function fill(tables: Tables, { services, size, headless }: Cluster): void {
  tables.namespaces.put('d', { name: 'd', labels: new Map() })
  for (let i = 0; i < services; i++) {
    tables.services.put(`d/s${i}`, service(i, headless, 80))
    for (let part = 0; part * 100 < size; part++) tables.slices.put(`d/s${i}-${part}`, slice(i, part, size, -1))
  }
  for (const table of [tables.services, tables.slices, tables.namespaces]) table.markSynced()
}

function service(i: number, headless: boolean, port: number): Service {
  const clusterIPs = headless ? [] : [`10.96.${i >> 8}.${i & 255}`]
  return {
    ...{ namespace: 'd', name: `s${i}`, created: 0, type: 'ClusterIP', headless, clusterIPs, externalIPs: [] },
    ...{ loadBalancerIPs: [], sourceRanges: null, affinitySeconds: 0, healthCheckNodePort: 0, publishNotReady: false },
    ...{ internalTrafficPolicy: 'Cluster', externalTrafficPolicy: 'Cluster', proxyName: null, externalName: null },
    ...{ dns: false, ports: [{ name: 'http', protocol: 'tcp', port, nodePort: 0 }] },
  }
}

function slice(service: number, part: number, size: number, unready: number) {
  const first = service * size + part * 100
  const endpoints = Array.from({ length: Math.min(100, size - part * 100) }, (_, i) => {
    const number = first + i
    const address = `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`
    const state = { ready: i !== unready, serving: i !== unready, terminating: false }
    return { address, ...state, node: 'n1', zone: 'a', hintZones: null, hintNodes: null }
  })
  const of = { namespace: 'd', name: `s${service}-${part}`, service: `s${service}`, imported: '', cluster: '' }
  const ports = [{ name: 'http', protocol: 'tcp' as const, port: 8080 }]
  return { ...of, family: 4 as const, ports, endpoints: packEndpoints(endpoints), triggeredAt: 0 }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function heapBytes(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
}

const round = (value: number) => Math.round(value * 100) / 100

const ROUNDS = 300
const CLUSTERS: Readonly<Record<string, Cluster>> = {
  'one of 10,000 services x 10': { services: 10_000, size: 10, headless: false, change: 'service' },
  'endpoint of 10,000 services x 10': { services: 10_000, size: 10, headless: false, change: 'endpoint' },
  'endpoint of 10,000 headless x 10': { services: 10_000, size: 10, headless: true, change: 'endpoint' },
  'endpoint of 5,000 of one headless': { services: 1, size: 5_000, headless: true, change: 'endpoint' },
}

main()

/**
 * What the core costs: a change, by the size of the tables; fan-in and fan-out; bytes a row and an edge. Pure computation,
 * nothing outside is touched. `node bench/core.ts [--json] [NAME ...]`; without names all run. `agent` is best run alone.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Cursor } from '../src/core/cursor.ts'
import { derive, type Derived } from '../src/core/derive.ts'
import { Graph } from '../src/core/graph.ts'
import { asTable, InputTable } from '../src/core/table.ts'

interface Service {
  readonly name: string
  readonly port: number
}
interface Endpoint {
  readonly address: string
  readonly ready: boolean
}
interface Slice {
  readonly service: string
  readonly endpoints: readonly Endpoint[]
}
interface Slot {
  readonly service: string
  readonly slot: number
  readonly ip: string
  readonly port: number
}

type Result = { readonly what: string } & Readonly<Record<string, any>>

function main(): void {
  const wanted = process.argv.slice(2).filter((word) => !word.startsWith('-'))
  const results = Object.entries(BENCHES)
    .filter(([name]) => wanted.length === 0 || wanted.includes(name))
    .flatMap(([, run]) => run())
  if (process.argv.includes('--json')) console.log(JSON.stringify(results, null, 1))
  else for (const { what, ...figures } of results) console.log(`${what.padEnd(62)} ${print(figures)}`)
}

/** One endpoint of a service of 10 changes its address: event to finished delta. */
function oneChange(rows: number) {
  const world = cluster(rows / 10, 1, 10)
  const cursor = deliver(world)
  let put = 0
  const times = timed(2_000, (round) => {
    const at = (round % 100) * (rows / 1_000) // 100 services, spread: the same working set at any size
    world.slices.put(`s${at}-0`, slice(`s${at}`, at, 10, 3, `10.99.${round >> 8}.${round & 255}`))
    put += step(world.graph, cursor)
  })
  return { what: `one endpoint of 10 changes, ${rows} rows`, ...times, 'rows/change': put / 2_000 }
}

/** One endpoint of a service of 5,000 in 50 slices. */
function fanIn() {
  const world = cluster(1, 50, 100)
  const cursor = deliver(world)
  let put = 0
  const times = timed(200, (round) => {
    world.slices.put(`s0-${round % 50}`, slice('s0', round % 50, 100, 3, `10.99.${round >> 8}.${round & 255}`))
    put += step(world.graph, cursor)
  })
  return { what: 'one endpoint of 5,000 changes, in 50 slices', ...times, 'rows/change': put / 200 }
}

/** 10,000 pods read the labels of one namespace; the labels change. */
function relabel() {
  const graph = new Graph()
  const pods = new InputTable<{ namespace: string; ip: string }>('pods')
  const namespaces = new InputTable<{ labels: readonly string[] }>('namespaces')
  const derived = derive<{ ip: string; set: string }, { namespace: string; ip: string }>(graph, {
    name: 'members',
    driver: pods,
    inputs: [namespaces],
    *rows(key, pod, read) {
      for (const label of read.get(namespaces, pod.namespace)?.labels ?? [])
        yield [`${label} ${key}`, { ip: pod.ip, set: label }]
    },
  })
  for (let i = 0; i < 10_000; i++) pods.put(`p${i}`, { namespace: 'shop', ip: address(i) })
  namespaces.put('shop', { labels: ['team', 'stage'] })
  for (const table of [pods, namespaces]) table.markSynced()
  graph.settle()
  const cursor = new Cursor(asTable(derived), graph.epoch)
  land(cursor)
  let put = 0
  const times = timed(40, (round) => {
    namespaces.put('shop', { labels: ['team', `stage${round}`] })
    put += step(graph, cursor)
  })
  return { what: 'a namespace of 10,000 pods is relabelled (one label of two)', ...times, 'rows/change': put / 40 }
}

/** First lists to a finished delta from 0, read through once. */
function fromZero(rows: number) {
  const times = timed(5, () => {
    const world = cluster(rows / 10, 1, 10)
    const cursor = new Cursor(asTable(world.slots), world.graph.epoch)
    let seen = 0
    for (const _ of cursor.take()!.put) seen++
    cursor.landed([])
    if (seen !== rows) throw new Error(`${seen} rows`)
  })
  return { what: `from nothing to a delta from 0, ${rows} rows`, ...times }
}

/** What the core itself adds to a row object and its key: 100,000 rows that share one object. */
function bytesPerRow() {
  const keys = Array.from({ length: 100_000 }, (_, i) => flat(`row ${i}`))
  const row = { shared: true }
  const input = measure(() => {
    const table = new InputTable<typeof row>('input')
    for (const key of keys) table.put(key, row)
    return table
  })
  const derived = measure(() => {
    const graph = new Graph()
    const one = new InputTable<typeof row>('one')
    const slots = derive<typeof row, typeof row>(graph, {
      name: 'derived',
      driver: one,
      inputs: [],
      rows: (key) => Array.from({ length: 10 }, (_, i) => [keys[Number(key) * 10 + i]!, row] as const),
    })
    for (let i = 0; i < 10_000; i++) one.put(String(i), row)
    one.markSynced()
    graph.settle()
    return [graph, slots, one]
  })
  return {
    what: 'bytes a row, beside the row and its key',
    input: input / 100_000,
    'derived, 10 a driver key': derived / 100_000,
  }
}

/** 10,000 readers with 10 reads each, of shared cells and of cells of their own. */
function bytesPerEdge() {
  const names = Array.from({ length: 100_000 }, (_, i) => flat(`cell ${i}`))
  const build = (reads: number, name: (reader: number, i: number) => string) => () => {
    const graph = new Graph()
    const driver = new InputTable<number>('driver')
    const cells = new InputTable<number>('cells')
    const derived = derive<number, number>(graph, {
      name: 'derived',
      driver,
      inputs: [cells],
      rows(_, reader, read) {
        for (let i = 0; i < reads; i++) read.get(cells, name(reader, i))
        return []
      },
    })
    for (let i = 0; i < 10_000; i++) driver.put(names[i]!, i)
    for (const table of [driver, cells]) table.markSynced()
    graph.settle()
    return [graph, derived, driver]
  }
  const bare = measure(build(0, () => ''))
  const shared = measure(build(10, (_, i) => names[i]!))
  const own = measure(build(10, (reader, i) => names[reader * 10 + i]!))
  return {
    what: 'bytes a recorded read (an edge), beside its name',
    'of a shared cell': (shared - bare) / 100_000,
    'of a cell of its own': (own - bare) / 100_000,
    'driver key without reads': bare / 10_000,
  }
}

/** 10,000 services with 100,000 endpoints, delivered and settled. */
function agent() {
  let world: ReturnType<typeof cluster> | null = null
  const bytes = measure(() => {
    world = cluster(10_000, 1, 10)
    return [world, deliver(world)]
  })
  const rows = world!.slots.size + world!.slices.size + world!.services.size
  return {
    what: '10,000 services, 100,000 endpoints, delivered and settled',
    'heap MB': bytes / 1e6,
    'RSS MB': process.memoryUsage.rss() / 1e6,
    'peak RSS MB': process.resourceUsage().maxRSS / 1e3,
    rows,
  }
}

function cluster(services: number, slicesEach: number, endpointsEach: number) {
  const graph = new Graph()
  const world = {
    graph,
    services: new InputTable<Service>('services'),
    slices: new InputTable<Slice>('slices', { indexes: { service: (row) => [row.service] } }),
    nodes: new InputTable<{ ip: string }>('nodes'),
  }
  for (let i = 0; i < services; i++) {
    const name = `s${i}`
    world.services.put(name, { name, port: 80 })
    for (let j = 0; j < slicesEach; j++)
      world.slices.put(`${name}-${j}`, slice(name, i * slicesEach + j, endpointsEach))
  }
  const slots = derive<Slot, Service>(graph, {
    name: 'slots',
    driver: world.services,
    inputs: [world.slices, world.nodes],
    *rows(key, service, read) {
      let slot = 0
      read.get(world.nodes, 'self')
      for (const [, slice] of read.by(world.slices, 'service', key))
        for (const { address, ready } of slice.endpoints)
          if (ready) yield [`${key} ${slot}`, { service: service.name, slot: slot++, ip: address, port: service.port }]
    },
  })
  for (const table of [world.services, world.slices, world.nodes]) table.markSynced()
  graph.settle()
  return { ...world, slots }
}

function slice(service: string, at: number, endpoints: number, changed = -1, to = ''): Slice {
  const one = (i: number): Endpoint => ({ address: i === changed ? to : address(at * endpoints + i), ready: true })
  return { service, endpoints: Array.from({ length: endpoints }, (_, i) => one(i)) }
}

function address(i: number): string {
  return `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`
}

function deliver(world: { graph: Graph; slots: Derived<Slot> }): Cursor<Slot> {
  const cursor = new Cursor(asTable(world.slots), world.graph.epoch)
  land(cursor)
  return cursor
}

function land<Row>(cursor: Cursor<Row>): number {
  const delta = cursor.take()
  if (delta === null) return 0
  cursor.landed([])
  return delta.put.size + delta.drop.size
}

function step<Row>(graph: Graph, cursor: Cursor<Row>): number {
  graph.settle()
  return cursor.due ? land(cursor) : 0
}

function timed(rounds: number, work: (round: number) => void) {
  const times: number[] = []
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint()
    work(round)
    times.push(Number(process.hrtime.bigint() - start) / 1e3)
  }
  times.sort((a, b) => a - b)
  return { 'us median': times[rounds >> 1]!, 'us p99': times[Math.ceil(rounds * 0.99) - 1]! }
}

/** Bytes (heap and array buffers) of what `build` returns. */
function measure(build: () => unknown): number {
  const before = used()
  const kept = build()
  const bytes = used() - before
  if (kept === undefined) throw new Error('nothing kept')
  return bytes
}

function used(): number {
  for (let i = 0; i < 4; i++) collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** A string of its own, not a rope of its parts. */
function flat(text: string): string {
  return Buffer.from(text).toString('latin1')
}

function print(figures: Readonly<Record<string, number>>): string {
  const format = (n: number) => n.toFixed(n < 100 ? 1 : 0)
  return Object.entries(figures)
    .map(([name, n]) => `${name} ${format(n)}`)
    .join(' · ')
}

const BENCHES: Readonly<Record<string, () => Result | Result[]>> = {
  change: () => [1_000, 10_000, 100_000].map(oneChange),
  fanin: fanIn,
  relabel,
  zero: () => [1_000, 10_000, 100_000].map(fromZero),
  row: bytesPerRow,
  edge: bytesPerEdge,
  agent,
}

setFlagsFromString('--expose_gc')
const collect: () => void = runInNewContext('gc')
main()

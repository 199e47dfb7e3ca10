import t from 'tap'
import { packEndpoints } from '../../src/cluster/endpointlist.ts'
import type { EndpointSlice } from '../../src/cluster/endpointslice.ts'
import { derive } from '../../src/core/derive.ts'
import { Graph } from '../../src/core/graph.ts'
import { InputTable } from '../../src/core/table.ts'
import { Metrics } from '../../src/status/metrics.ts'
import { ProgrammingLatency } from '../../src/status/programming.ts'

const BEGAN = 1_000_000

/** Rows follow from the endpoints alone; settled when told, as the runner does it. */
function world() {
  const slices = new InputTable<EndpointSlice>('slices')
  const graph = new Graph()
  const rows = derive<number, EndpointSlice>(graph, {
    name: 'rows',
    driver: slices,
    inputs: [],
    rows: (key, { endpoints }) => [[key, endpoints.count]],
  })
  graph.onDirty(() => setImmediate(() => graph.settle()))
  const metrics = new Metrics()
  const histogram = metrics.histogram('h', 'H', [1, 10], ['ip_family'])
  let now = BEGAN
  const latency = new ProgrammingLatency({ slices, rows, histogram, now: () => now })
  slices.watch(latency)
  return {
    ...{ slices, rows, latency },
    at: (ms: number) => (now = BEGAN + ms),
    put: (name: string, triggeredMs: number, endpoints: number, family: 4 | 6 = 4) =>
      slices.put(name, slice(name, BEGAN + triggeredMs, endpoints, family)),
    commit: () => latency.committed(rows.number),
    figures: () =>
      Object.fromEntries(
        [...metrics.render().matchAll(/^h_(sum|count){ip_family="(\w+)"} (\S+)$/gm)].map((m) => [
          `${m[2]} ${m[1]}`,
          Number(m[3]),
        ]),
      ),
  }
}

function slice(name: string, triggeredAt: number, count: number, family: 4 | 6): EndpointSlice {
  const endpoints = { ...packEndpoints([]), count }
  return { namespace: 'shop', name, service: 'web', ...OWN, family, ports: [], endpoints, triggeredAt }
}

const OWN = { imported: '', cluster: '' }

/** Long enough for what settles and what forgets. */
const turns = async (): Promise<void> => {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve))
}

t.test('from the trigger to the commit, once a change and family', async (t) => {
  const { slices, at, put, commit, figures } = world()
  slices.markSynced()
  await turns()
  put('a', 100, 1)
  put('b', 200, 1, 6)
  await turns()
  t.same(figures(), {}, 'not before it is committed')
  at(5_100)
  commit()
  t.same(figures(), { 'IPv4 count': 1, 'IPv4 sum': 5, 'IPv6 count': 1, 'IPv6 sum': 4.9 })
  commit()
  t.equal(figures()['IPv4 count'], 1, 'once')
})

t.test('not the first list, nor what changed before us', async (t) => {
  const { slices, at, put, commit, figures } = world()
  put('a', 100, 1)
  slices.markSynced()
  await turns()
  put('b', -1, 1)
  put('c', -BEGAN, 1)
  await turns()
  at(1_000)
  commit()
  t.same(figures(), {})
})

t.test('a change that is not in the commit waits for the next', async (t) => {
  const { slices, rows, latency, at, put, commit, figures } = world()
  slices.markSynced()
  await turns()
  put('a', 100, 1)
  await turns()
  const taken = rows.number
  put('a', 200, 2)
  at(1_100)
  latency.committed(taken)
  t.same(figures(), { 'IPv4 count': 1, 'IPv4 sum': 1 })
  await turns()
  at(2_200)
  commit()
  t.same(figures(), { 'IPv4 count': 2, 'IPv4 sum': 3 })
})

t.test('a change that makes no difference is no programming', async (t) => {
  const { slices, at, put, commit, figures } = world()
  slices.markSynced()
  put('a', 100, 1)
  await turns()
  commit()
  const before = figures()
  put('a', 200, 1)
  await turns()
  put('b', 90_000, 1)
  await turns()
  at(91_000)
  commit()
  t.equal(figures()['IPv4 count'], before['IPv4 count']! + 1)
  t.equal(figures()['IPv4 sum'], before['IPv4 sum']! + 1, 'that of b')
})

t.test(
  'one trigger is one change, however often its slice is written; a clock that is behind counts as no time',
  async (t) => {
    const { slices, at, put, commit, figures } = world()
    slices.markSynced()
    put('a', 100, 1)
    await turns()
    at(1_100)
    commit()
    put('a', 100, 2)
    await turns()
    at(9_100)
    commit()
    t.same(figures(), { 'IPv4 count': 1, 'IPv4 sum': 1 })
    put('b', 60_000, 1)
    await turns()
    commit()
    t.same(figures(), { 'IPv4 count': 2, 'IPv4 sum': 1 })
  },
)

t.test('however many wait, memory stays', async (t) => {
  const { slices, put, commit, figures } = world()
  slices.markSynced()
  await turns()
  for (let i = 0; i < 12_000; i++) put(`s${i}`, 100, 1)
  await turns()
  commit()
  t.equal(figures()['IPv4 count'], 10_000)
})

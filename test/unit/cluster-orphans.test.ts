import t from 'tap'
import { deriveOrphans } from '../../src/cluster/orphans.ts'
import { createInlets, createTables } from '../../src/cluster/tables.ts'
import { Graph } from '../../src/core/graph.ts'
import { service, slice } from '../contract/source.ts'

t.test('a slice for a Service that is not there is complained about until it is', async (t) => {
  const tables = createTables()
  const { services, slices } = createInlets(tables)
  const graph = new Graph()
  graph.input(tables.services)
  graph.input(tables.slices)
  const orphans = deriveOrphans(graph, tables)
  const complaints = () => {
    graph.settle()
    return [...orphans.entries()].map(([, { object }]) => object)
  }
  slices.replace([slice('a-1', 'a'), slice('b-1', 'b'), slice('c-1', 'c', [])])
  slices.synced()
  t.same(complaints(), [], 'not before all Services are known')
  services.replace([service('a')])
  services.synced()
  t.same(complaints(), ['EndpointSlice default/b-1'], 'an empty slice is nobody’s loss')
  t.match([...orphans.entries()][0]?.[1], { problem: /Service default\/b, which does not exist/, remedy: /create/ })
  services.put(service('b'))
  t.same(complaints(), [])
  services.drop(service('a'))
  t.same(complaints(), ['EndpointSlice default/a-1'])
  slices.drop(slice('a-1', 'a'))
  t.same(complaints(), [])
})

import * as fc from 'fast-check'
import t from 'tap'
import { parseManifest } from '../../src/cluster/manifest.ts'
import { anyObject, Holdings, type Loaded } from '../../src/cluster/source/holdings.ts'
import { createInlets, createTables } from '../../src/cluster/tables.ts'
import { same } from '../../src/core/same.ts'

/** Objects of a few names, so that keys come back; some cannot be used, some partly. */
const object = fc.record({
  metadata: fc.record({ name: fc.constantFrom('a', 'b', 'c', 'Bad', ''), namespace: fc.constantFrom('x', 'y') }),
  spec: fc.record({
    type: fc.constantFrom('ClusterIP', 'Oops'),
    clusterIPs: fc.array(fc.constantFrom('10.0.0.1', 'fd00::1', '127.1'), { maxLength: 3 }),
    ports: fc.constantFrom([], [{ port: 80 }], [{ port: 0 }, { port: 81 }]),
  }),
})

t.test('inlets: whatever happened before, rows and rejections are those of the final objects', async () => {
  const event = fc.oneof(
    fc.record({ do: fc.constant('put' as const), object }),
    fc.record({ do: fc.constant('drop' as const), object }),
    fc.record({ do: fc.constant('replace' as const), objects: fc.array(object, { maxLength: 5 }) }),
  )
  const idOf = ({ metadata }: { metadata: object }) => JSON.stringify(metadata)
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (history) => {
      const [lived, fresh] = [createTables(), createTables()]
      const { services } = createInlets(lived)
      const world = new Map<string, object>()
      for (const it of history) {
        if (it.do === 'replace') {
          world.clear()
          for (const object of it.objects) world.set(idOf(object), object)
          services.replace(it.objects)
        } else if (it.do === 'put') {
          world.set(idOf(it.object), it.object)
          services.put(it.object)
        } else {
          world.delete(idOf(it.object))
          services.drop(it.object)
        }
      }
      createInlets(fresh).services.replace(world.values())
      const rows = (tables: typeof lived) =>
        new Map<string, unknown>([...tables.services.entries(), ...tables.rejections.entries()])
      return same(rows(lived), rows(fresh))
    }),
    { numRuns: 500 },
  )
})

t.test('files: whatever was saved before, each object is that of the first file that has it', async () => {
  const files = ['one', 'two', 'three']
  const content = fc.oneof(
    { weight: 1, arbitrary: fc.constant('gone' as const) },
    { weight: 1, arbitrary: fc.constant('broken' as const) },
    {
      weight: 4,
      arbitrary: fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 0, max: 2 })), {
        maxLength: 4,
      }),
    },
  )
  // Each step: some files are saved at once. What `large` adds makes a text that is kept deflated.
  const step = fc.dictionary(fc.constantFrom(...files), content, { minKeys: 1 })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.boolean(), (steps, large) => {
      const holdings = new Holdings(anyObject)
      const good = new Map<string, (readonly [string, number])[]>()
      const table = new Map<string, number>()
      for (const saved of steps) {
        const loaded = new Map<string, Loaded>()
        const gone: string[] = []
        for (const [file, what] of Object.entries(saved)) {
          if (what === 'broken') continue
          if (what === 'gone') {
            gone.push(file)
            good.delete(file)
            continue
          }
          const docs = what.map(([name, v]) => JSON.stringify({ apiVersion: 'v1', kind: 'K', metadata: { name }, v }))
          const text = docs.join('\n---\n') + (large ? `\n# ${'x'.repeat(20_000)}` : '')
          loaded.set(file, { ...parseManifest(text, file), text })
          good.set(file, what)
        }
        const order = files.filter((file) => good.has(file))
        const { put, drop } = holdings.update(order, loaded, gone)
        for (const { metadata } of drop) table.delete(metadata.name as string)
        for (const { object } of put) table.set((object['metadata'] as { name: string }).name, object['v'] as number)
        const wanted = new Map<string, number>()
        for (const file of order) for (const [name, v] of good.get(file)!) if (!wanted.has(name)) wanted.set(name, v)
        if (!same(table, wanted)) return false
        // Each object beyond the first of its name is complained about.
        const extra = order.reduce((sum, file) => sum + good.get(file)!.length, 0) - wanted.size
        if (holdings.problems(order).length !== extra) return false
      }
      return true
    }),
    { numRuns: 500 },
  )
})

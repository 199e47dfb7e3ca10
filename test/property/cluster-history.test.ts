import * as fc from 'fast-check'
import t from 'tap'
import { parseManifest, type Manifest } from '../../src/cluster/manifest.ts'
import type { Raw } from '../../src/cluster/raw.ts'
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

/** What a file may say between two `---`, or around them; `n` is where it is told from others. */
const documents: readonly ((name: string, v: number) => string)[] = [
  (name, v) => `apiVersion: v1\nkind: K\nmetadata: {name: ${name}}\nv: ${v}\n`,
  (name, v) => `# why\n\napiVersion: v1\nkind: K\nv: ${v}\nmetadata:\n  name: ${name}\n`,
  (name, v) => `{apiVersion: v1, kind: K, v: ${v}, metadata: {name: ${name}}}\n`,
  (name, v) =>
    `apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: K, v: ${v}, metadata: {name: ${name}}}\n- 7\n- {apiVersion: v1, kind: K, v: ${v + 1}, metadata: {name: ${name}}}\n`,
  (name, v) => `apiVersion: v1\nkind: K\nmetadata: {name: ${name}}\nv: ${v}\ntext: |\n  ---\n   ---\n  ...\n`,
  (name, v) => `apiVersion: v1\r\nkind: K\r\nmetadata: {name: ${name}}\r\nv: ${v}\r\n`,
  () => '',
  () => '# nothing\n',
  () => 'just text\n',
]
/** Those that are not for themselves: read with the whole file. */
const awkward: readonly ((name: string, v: number) => string)[] = [
  (name, v) => `apiVersion: v1\nkind: K\nmetadata: {name: &n ${name}}\nv: ${v}\nagain: *n\n`,
  (name, v) => `apiVersion: v1\nkind: K\nmetadata: {name: ${name}}\nv: ${v}\n...\n`,
  () => '%YAML 1.2\n',
  () => 'a: "\n',
  () => 'a: [\n',
  () => 'kind: K\nkind: K\n',
  () => 'again: *n\n',
]
const documentOf = (kinds: typeof documents) =>
  fc
    .tuple(fc.constantFrom(...kinds), fc.constantFrom('a', 'b', 'c', 'd'), fc.nat({ max: 2 }))
    .map(([make, name, v]) => make(name, v))
const joint = fc.constantFrom('---\n', '--- # next\n', '---\r\n', '---\t\n', '---\n---\n', ' ---\n', '----\n')
const textOf = (document: fc.Arbitrary<string>) =>
  fc
    .array(fc.tuple(fc.oneof({ weight: 12, arbitrary: fc.constant('---\n') }, joint), document), { maxLength: 6 })
    .map((parts) => parts.map(([before, document], i) => (i === 0 && before === '---\n' ? '' : before) + document))
    .map((parts) => parts.join(''))
const text = fc.oneof(
  { weight: 4, arbitrary: textOf(documentOf(documents)) },
  { weight: 1, arbitrary: textOf(documentOf([...documents, ...awkward])) },
)

/** What chance finds rarely. */
const examples = [
  'just text\n----\n# no marker\n',
  'just text\n---# no marker\n',
  // As JSON the second stands, as YAML it is broken; more than one document are YAML.
  '{"apiVersion": "v1", "kind": "J", "kind": "K", "metadata": {"name": "a"}}\n---\n# nothing\n',
  // Each alone is within the bound of what aliases may spell out: 670,000 values.
  `a: &a [${'x,'.repeat(10)}]\n${[...'bcde'].map((it, i) => `${it}: &${it} [${`*${'abcd'[i]},`.repeat(10)}]\n`).join('')}f: [${'*e,'.repeat(5)}]\n---\n`.repeat(
    2,
  ),
]

t.test('files: read by sections, a text says what it says as a whole', async () => {
  fc.assert(
    fc.property(text, (text) => {
      const whole = parseManifest(text, 'one')
      const holdings = new Holdings(anyObject)
      const read = holdings.read('one', text)
      if (!('sections' in read)) return same(read, whole.problems)
      const { put } = holdings.update(['one'], new Map([['one', read]]), [])
      const wanted = new Map(whole.objects.toReversed().map((it) => [anyObject(it.object), it]))
      const got = new Map(put.map((it) => [anyObject(it.object), it]))
      const problems = holdings.problems(['one']).filter(({ remedy }) => remedy !== 'remove one of the two')
      return !whole.broken && put.length === wanted.size && same(got, wanted) && same(problems, whole.problems)
    }),
    { numRuns: 1000, examples: examples.map((it) => [it] as [string]) },
  )
})

t.test(
  'files: whatever was saved before, all is as if read now, each object from the first file that has it',
  async () => {
    const files = ['one', 'two', 'three']
    const content = fc.oneof({ weight: 1, arbitrary: fc.constant(null) }, { weight: 5, arbitrary: text })
    // Each step: some files are saved at once, or go. What `large` adds makes a text that is kept deflated.
    const step = fc.dictionary(fc.constantFrom(...files), content, { minKeys: 1 })
    const vOf = ({ object }: Manifest) => object['v']
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.boolean(), (steps, large) => {
        const lived = new Holdings(anyObject)
        const good = new Map<string, string>()
        const table = new Map<string, unknown>()
        for (const saved of steps) {
          const loaded = new Map<string, Loaded>()
          const gone: string[] = []
          for (const [file, what] of Object.entries(saved)) {
            if (what === null) {
              gone.push(file)
              good.delete(file)
              continue
            }
            const text = large ? `${what}\n# ${'x'.repeat(20_000)}` : what
            const read = lived.read(file, text)
            // A broken file is that whatever it was before, and stays as it was.
            if (!('sections' in read) && !same(read, parseManifest(text, file).problems)) return false
            if (!('sections' in read)) continue
            loaded.set(file, read)
            good.set(file, text)
          }
          const order = files.filter((file) => good.has(file))
          const { put, drop } = lived.update(order, loaded, gone)
          const touched = [...drop, ...put.map(({ object }) => object)].map((it) => anyObject(it as Raw))
          if (new Set(touched).size !== touched.length) return false
          for (const object of drop) table.delete(String(anyObject(object as unknown as Raw)))
          for (const manifest of put) table.set(String(anyObject(manifest.object)), vOf(manifest))
          const fresh = new Holdings(anyObject)
          const reads = order.map((file) => [file, fresh.read(file, good.get(file)!) as Loaded] as const)
          const all = fresh.update(order, new Map(reads), []).put
          const wanted = new Map(all.map((it) => [String(anyObject(it.object)), it]))
          if (!same(table, new Map([...wanted].map(([id, it]) => [id, vOf(it)])))) return false
          if (!put.every((it) => same(it, wanted.get(String(anyObject(it.object)))))) return false
          if (!same(lived.problems(order), fresh.problems(order))) return false
        }
        return true
      }),
      { numRuns: 200 },
    )
  },
)

t.test('files: an edit of one document among many is a change of one object', async () => {
  const document = (name: string, v: number) => `apiVersion: v1\nkind: K\nmetadata: {name: ${name}}\nv: ${v}\n`
  const holdings = new Holdings(anyObject)
  /** Saves; what was parsed, put and dropped. */
  const save = (text: string) => {
    const loaded = holdings.read('one', text) as Loaded
    const { put, drop } = holdings.update(['one'], new Map([['one', loaded]]), [])
    const named = put.map(({ object, line }) => `${(object['metadata'] as Raw)['name']} ${object['v']} :${line}`)
    return { parsed: loaded.fresh.size, put: named, drop: drop.map(({ metadata }) => metadata.name) }
  }
  const docs = Array.from({ length: 1000 }, (_, i) => document(`n${i}`, 0))
  const all = () => docs.join('---\n')
  t.equal(save(all()).put.length, 1000)
  t.same(save(all()), { parsed: 0, put: [], drop: [] }, 'nothing changed')
  docs[700] = document('n700', 1)
  t.same(save(all()), { parsed: 1, put: ['n700 1 :3501'], drop: [] }, 'one changed')
  docs.splice(10, 0, document('new', 1))
  t.same(save(all()), { parsed: 1, put: ['new 1 :51'], drop: [] }, 'one came, others moved down')
  docs.splice(500, 1)
  t.same(save(all()), { parsed: 0, put: [], drop: ['n499'] }, 'one went')
  docs[0] = document('other', 5)
  t.same(save(all()), { parsed: 1, put: ['other 5 :1'], drop: ['n0'] }, 'one was renamed')
  docs.push(document('n1', 9))
  t.same(save(all()), { parsed: 1, put: [], drop: [] }, 'one is there a second time')
  docs.splice(1, 1)
  t.same(save(all()), { parsed: 0, put: ['n1 9 :4996'], drop: [] }, 'and stands when the first goes')
})

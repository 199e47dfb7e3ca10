/** The source as a whole, on a connection that a test holds in its hand. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import * as kind from '../../src/cluster/kind.ts'
import { Copies, kubeSource, type Connection } from '../../src/cluster/source/kube.ts'
import { fromStatus } from '../../src/cluster/source/kube/problem.ts'
import { createInlets, createTables } from '../../src/cluster/tables.ts'

t.test('a first list that takes long: the copy meanwhile', async (t) => {
  const copies = await copyOf(t, 'copied')
  const tables = createTables()
  const { nodes } = createInlets(tables)
  const abort = new AbortController()
  const stale = Promise.withResolvers<void>()
  const source = kubeSource({
    ...{ connection: silent(abort.signal), inlets: [nodes], signal: abort.signal, copies, copyAfterMs: 1 },
    onState: (state) => state.stale && stale.resolve(),
  })
  await stale.promise
  t.ok(tables.nodes.synced)
  t.same(
    [...tables.nodes.entries()].map(([key]) => key),
    ['copied'],
  )
  t.match(source.states().get('Node'), { phase: 'listing', stale: true, lists: 0 })
  abort.abort()
  await source.done
  const kept = await copies.load(kind.nodes)
  t.equal(kept.kind === 'copy' && kept.saved, 'then', 'what is stale is not kept as if it were new')
})

t.test('without a copy nothing is known', async (t) => {
  const copies = new Copies(join((await copyOf(t, 'x')).folder, 'elsewhere'), '1')
  const tables = createTables()
  const abort = new AbortController()
  const told = Promise.withResolvers<string>()
  const log = { info: (text: string) => told.resolve(text), warn: () => {} }
  const source = kubeSource({
    ...{ connection: silent(abort.signal), inlets: [createInlets(tables).nodes], signal: abort.signal, log },
    ...{ copies, copyAfterMs: 1 },
  })
  t.match(await told.promise, /no copy of nodes/)
  t.notOk(tables.nodes.synced)
  abort.abort()
  await source.done
})

t.test('a problem is logged once, with its remedy, however often it is met', async (t) => {
  const abort = new AbortController()
  const lines: unknown[][] = []
  let asked = 0
  const connection: Connection = {
    ...silent(abort.signal),
    request: async () => {
      if (++asked === 5) abort.abort()
      return { kind: 'failed', problem: fromStatus(403, { message: 'nodes is forbidden' }) }
    },
  }
  const log = { info: () => {}, warn: (...line: unknown[]) => void lines.push(line) }
  const { nodes } = createInlets(createTables())
  await kubeSource({ connection, inlets: [nodes], signal: abort.signal, log, random: () => 0 }).done
  t.match(lines, [['nodes is forbidden', { kind: 'Node', remedy: /"list" on nodes/ }]])
  t.equal(lines.length, 1)
})

/** Accepts everything and answers nothing. */
function silent(signal: AbortSignal): Connection {
  const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  return {
    server: 'x',
    watchSeconds: () => 300,
    close: async () => {},
    request: async () => {
      await stopped
      return { kind: 'failed', problem: fromStatus(0, 'stopped') }
    },
  }
}

/** A folder with a copy of one node, saved `then`. */
async function copyOf(t: Test, name: string): Promise<Copies> {
  const folder = await mkdtemp(join(tmpdir(), 'kube-source-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const copies = new Copies(folder, '1')
  const tables = createTables()
  createInlets(tables).nodes.put({ metadata: { name } })
  t.equal(await copies.save(kind.nodes, tables.nodes), null)
  const path = join(folder, 'core.nodes.jsonl')
  await writeFile(path, (await readFile(path, 'utf8')).replace(/"saved":"[^"]*"/, '"saved":"then"'))
  return copies
}

/** The contract of all sources, with the kube source on the lab's API: it is an API server to those who do not know. */
import { mkdtempSync, rmSync } from 'node:fs'
import type { Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { connect, findSettings, kubeSource } from '../../src/cluster/source/kube.ts'
import { createStore } from '../../src/lab/api/create.ts'
import { createApiServer } from '../../src/lab/api/server.ts'
import { refOf, type Outcome } from '../../src/lab/api/store.ts'
import { contract, type Object_ } from './source.ts'

const folder = mkdtempSync(join(tmpdir(), 'lap-'))
t.teardown(() => rmSync(folder, { recursive: true }))
let sockets = 0

contract(t, 'lab', async (_t, inlets) => {
  const store = createStore()
  const path = join(folder, `${sockets++}.sock`)
  let server = await listen()
  const found = await findSettings({ server: `unix://${path}` })
  if (found.kind === 'problem') throw new Error(found.message)
  const connection = connect(found.settings)
  const abort = new AbortController()
  let done = Promise.resolve()
  function listen(): Promise<Server> {
    const next = createApiServer(store, { bookmarkMs: 20 })
    return new Promise((resolve) => next.listen({ path }, () => resolve(next)))
  }
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  /** Who comes back finds that the past is forgotten. */
  const away = async (change: () => Promise<void>): Promise<void> => {
    await close()
    await change()
    expect(store.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'time-passes-' } }))
    store.compact()
    server = await listen()
  }
  return {
    start: async () => {
      done = kubeSource({ connection, inlets, signal: abort.signal, random: () => 0.01 }).done
    },
    put: async (object) => put(object),
    drop: async ({ kind, metadata }) => {
      const { plural } = store.resources.find(kind)!
      store.delete({ resource: plural, namespace: metadata.namespace ?? '', name: metadata.name })
    },
    relist: () => away(async () => {}),
    away,
    stop: async () => {
      abort.abort()
      await done
      await connection.close()
      await close()
    },
  }

  function put(object: Object_): void {
    const located = store.locate(object)
    if ('failure' in located) throw new Error(located.failure.message)
    const live = store.get(located.resource.plural, located.namespace, located.name)
    if (live === undefined) return expect(store.create(object))
    const { apiVersion: _, kind: _kind, metadata, ...rest } = object
    expect(
      store.modify(refOf(located.resource.plural, live), (next) => {
        Object.assign(next, rest)
        Object.assign(next.metadata, metadata)
      }),
    )
  }
})

function expect(outcome: Outcome): void {
  if (!outcome.ok) throw new Error(outcome.failure.message)
}

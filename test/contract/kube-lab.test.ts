/** The contract of all sources, with the kube source on the lab's API: what agents in the box run on. No download, no build. */
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { connect, findSettings, kubeSource } from '../../src/cluster/source/kube.ts'
import { createStore } from '../../src/lab/api/create.ts'
import { createApiServer } from '../../src/lab/api/server.ts'
import { contract, type Object_ } from './source.ts'

const folder = mkdtempSync(join(tmpdir(), 'kube-lab-'))
t.teardown(() => rmSync(folder, { recursive: true }))
let sockets = 0

contract(t, 'kube on the lab', async (_t, inlets) => {
  const store = createStore()
  const path = join(folder, `${sockets++}.sock`)
  // What the test writes goes another way, so that the source's can be closed.
  const server = createApiServer(store)
  const writes = createApiServer(store)
  const open = (): Promise<void> => new Promise((resolve) => server.listen({ path }, resolve))
  const shut = async (change: () => unknown): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
    await change()
    store.compact()
    await open()
  }
  await open()
  await new Promise<void>((resolve) => writes.listen({ path: `${path}.w` }, resolve))
  const send = (method: string, object: Object_) => call(`${path}.w`, method, object)
  const found = await findSettings({ server: `unix://${path}`, env: {} })
  if (found.kind === 'problem') throw new Error(found.message)
  const connection = connect(found.settings)
  const abort = new AbortController()
  let done = Promise.resolve()
  return {
    start: async () => {
      done = kubeSource({ connection, inlets, signal: abort.signal, limit: 2, random: () => 0.01 }).done
    },
    put: async (object) => {
      if ((await send('POST', object)) === 409) await send('PATCH', object)
    },
    drop: async (object) => void (await send('DELETE', object)),
    relist: () => shut(() => store.compact()),
    away: shut,
    stop: async () => {
      abort.abort()
      await done
      await connection.close()
      for (const each of [server, writes]) {
        each.closeAllConnections()
        each.close()
      }
    },
  }
})

/** The status. */
function call(socketPath: string, method: string, object: Object_): Promise<number> {
  const { apiVersion, kind, metadata } = object
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const space = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`
  const name = method === 'POST' ? '' : `/${metadata.name}`
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
  return new Promise((resolve, reject) => {
    const path = `${root}${space}/${kind.toLowerCase()}s${name}`
    const asked = request({ socketPath, method, path, headers: { 'content-type': type } }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode ?? 0))
    })
    asked.once('error', reject)
    asked.end(method === 'DELETE' ? '' : JSON.stringify(object))
  })
}

/** The contract of all sources, with the kube source on a real API server. */
import t from 'tap'
import { connect, kubeSource } from '../../src/cluster/source/kube.ts'
import type { ApiServer } from '../cluster/apiserver.ts'
import { startProxy } from '../cluster/proxy.ts'
import { adminSettings, sharedApiServer } from './kubeworld.ts'
import { contract, type Object_ } from './source.ts'

const api = await sharedApiServer(t)
if (api !== null) {
  contract(t, 'kube', async (_t, inlets) => {
    const proxy = await startProxy(api)
    const connection = connect(await adminSettings(api, proxy.address))
    const abort = new AbortController()
    const world = new Map<string, Object_>()
    let done = Promise.resolve()
    const reopen = async (change: () => Promise<void>): Promise<void> => {
      proxy.shut()
      await change()
      proxy.open()
    }
    return {
      start: async () => {
        // Hardly any jitter: a test need not spare the API server.
        done = kubeSource({ connection, inlets, signal: abort.signal, random: () => 0.01 }).done
      },
      put: async (object) => {
        world.set(`${object.kind} ${object.metadata.name}`, object)
        await apply(api, object)
      },
      drop: async (object) => {
        if (world.delete(`${object.kind} ${object.metadata.name}`)) await remove(api, object)
      },
      relist: () => reopen(() => forget(api)),
      away: (change) => reopen(() => change().then(() => forget(api))),
      stop: async () => {
        abort.abort()
        await done
        await connection.close()
        await proxy.close()
        for (const object of world.values()) await remove(api, object)
        world.clear()
      },
    }
  })
}

/** Makes who resumes from before hear 410: a fresh watch cache knows nothing that is older than itself. */
async function forget(api: ApiServer): Promise<void> {
  await api.call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { generateName: 'time-passes-' } })
  await api.restart(() => api.etcd.compact())
}

async function apply(api: ApiServer, object: Object_): Promise<void> {
  const path = pathOf(object)
  const exists = await api.call('GET', `${path}/${object.metadata.name}`).catch(() => null)
  if (exists === null) return void (await api.call('POST', path, object))
  await api.call('PATCH', `${path}/${object.metadata.name}`, object, 'application/merge-patch+json')
}

const remove = async (api: ApiServer, object: Object_): Promise<void> =>
  void (await api.call('DELETE', `${pathOf(object)}/${object.metadata.name}`))

function pathOf({ apiVersion, kind, metadata }: Object_): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const folder = metadata.namespace === undefined ? root : `${root}/namespaces/${metadata.namespace}`
  return `${folder}/${kind.toLowerCase()}s`
}

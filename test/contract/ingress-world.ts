/** `fairlead ingress` as it ships between the lab's API and a carrier of the test's, which holds what it is told. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { connect, findSettings } from '../../src/cluster/source/kube.ts'
import { createStore } from '../../src/lab/api/create.ts'
import { createApiServer } from '../../src/lab/api/server.ts'
import { FakeCarrier } from '../unit/carrier-world.ts'
import { start } from './ingress-process.ts'
import type { Raw } from './service-objects.ts'

export const GROUPS: Readonly<Record<string, string>> = {
  Service: '/api/v1/namespaces/x/services',
  EndpointSlice: '/apis/discovery.k8s.io/v1/namespaces/x/endpointslices',
  Ingress: '/apis/networking.k8s.io/v1/namespaces/x/ingresses',
  IngressClass: '/apis/networking.k8s.io/v1/ingressclasses',
  Secret: '/api/v1/namespaces/x/secrets',
  ConfigMap: '/api/v1/namespaces/x/configmaps',
}

export async function world(t: Test) {
  const at = mkdtempSync(join(tmpdir(), 'ingress-world-'))
  const server = createApiServer(createStore())
  const socket = join(at, 'api.sock')
  await new Promise<void>((resolve) => server.listen({ path: socket }, resolve))
  const found = await findSettings({ server: `unix://${socket}`, env: {} })
  if (found.kind === 'problem') throw new Error(found.message)
  const connection = connect(found.settings)
  const carrier = await new FakeCarrier().listen()
  t.teardown(async () => {
    await connection.close()
    server.closeAllConnections()
    server.close()
    await carrier.end()
    rmSync(at, { recursive: true, force: true })
  })
  const call = async (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: Raw): Promise<Raw> => {
    const signal = new AbortController().signal
    const answer = await connection.request(path, {
      method,
      signal,
      ...(body && { body }),
      ...(method === 'PATCH' && { contentType: 'application/merge-patch+json' }),
    })
    if (answer.kind === 'failed') throw new Error(`${method} ${path}: ${answer.problem.message}`)
    const chunks: Uint8Array[] = []
    for await (const chunk of answer.body) chunks.push(chunk)
    return JSON.parse(Buffer.concat(chunks).toString())
  }
  await call('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'x' } })
  return {
    ...{ carrier, call, at, connection },
    apply: async (...objects: readonly Raw[]) => {
      for (const object of objects) await call('POST', GROUPS[object['kind']]!, object)
    },
    start: (...args: readonly string[]) =>
      start(t, at, ['--api-server', `unix://${socket}`, '--socket', carrier.path, ...args]),
  }
}

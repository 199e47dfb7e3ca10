/** Who may do what a manifest of ours says, and nothing else. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readManifests } from '../../src/cluster/manifest.ts'
import type { ApiServer } from './apiserver.ts'

/** Makes the account that files of manifests/ describe; writes a kubeconfig that speaks as it to `path`. */
export async function makeAccount(server: ApiServer, manifests: string | readonly string[], path: string) {
  const files = [manifests].flat().map((manifest) => join(import.meta.dirname, '../../manifests', manifest))
  const { objects } = await readManifests(files)
  for (const { object } of objects) await server.call('POST', PATHS[object['kind'] as string]!, object)
  const account = objects.find(({ object }) => object['kind'] === 'ServiceAccount')!.object
  const { name } = account['metadata'] as { name: string }
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} }
  const made = await server.call('POST', `${PATHS['ServiceAccount']}/${name}/token`, request)
  const config = JSON.parse(await readFile(server.kubeconfig, 'utf8'))
  await writeFile(path, JSON.stringify({ ...config, users: [{ name: 'admin', user: { token: made.status.token } }] }))
  return path
}

const PATHS: Readonly<Record<string, string>> = {
  ServiceAccount: '/api/v1/namespaces/kube-system/serviceaccounts',
  Role: '/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles',
  RoleBinding: '/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings',
  ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
}

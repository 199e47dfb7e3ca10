/** Who may do what a manifest of ours says, and nothing else. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readManifests } from '../../src/cluster/manifest.ts'
import type { Raw } from '../contract/service-objects.ts'
import type { ApiServer } from './apiserver.ts'
import { until } from './process.ts'

/** Makes the account that files of manifests/ describe; writes a kubeconfig that speaks as it to `path` once it may do all that they say. */
export async function makeAccount(server: ApiServer, manifests: string | readonly string[], path: string) {
  const files = [manifests].flat().map((manifest) => join(import.meta.dirname, '../../manifests', manifest))
  const { objects } = await readManifests(files)
  for (const { object } of objects) await server.call('POST', PATHS[object['kind'] as string]!, object)
  const account = objects.find(({ object }) => object['kind'] === 'ServiceAccount')!.object
  const { name } = account['metadata'] as { name: string }
  for (const { object } of objects) await inForce(server, `system:serviceaccount:kube-system:${name}`, object)
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} }
  const made = await server.call('POST', `${PATHS['ServiceAccount']}/${name}/token`, request)
  const config = JSON.parse(await readFile(server.kubeconfig, 'utf8'))
  await writeFile(path, JSON.stringify({ ...config, users: [{ name: 'admin', user: { token: made.status.token } }] }))
  return path
}

/** The API server hears of its own roles by a watch: who asks at once may be forbidden what he may. */
async function inForce(server: ApiServer, user: string, { kind, metadata, rules = [] }: Raw): Promise<void> {
  const scope = kind === 'Role' ? { namespace: 'kube-system' } : {}
  for (const { apiGroups, resources, resourceNames, verbs } of rules as Raw[])
    for (const group of apiGroups as string[])
      for (const each of resources as string[])
        for (const verb of verbs as string[]) {
          const [resource, subresource] = each.split('/')
          const one = resourceNames === undefined ? {} : { name: resourceNames[0] }
          const spec = {
            user,
            resourceAttributes: { ...scope, ...one, group, resource, verb, ...(subresource && { subresource }) },
          }
          await until(`${metadata.name}: ${verb} ${each}`, async () => (await review(server, spec)).status.allowed)
        }
}

const review = (server: ApiServer, spec: object): Promise<any> =>
  server.call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
    ...{ apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec },
  })

const PATHS: Readonly<Record<string, string>> = {
  ServiceAccount: '/api/v1/namespaces/kube-system/serviceaccounts',
  Role: '/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles',
  RoleBinding: '/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings',
  ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
}

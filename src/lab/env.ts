/** The environment of a container: env, envFrom, and what a stand-in needs to name itself. */
import type { ApiObject } from './api/object.ts'
import type { ContainerSpec, EnvVar, KeyRef } from './podspec.ts'

/** Where a container starts that does not say where, and may write: /tmp is the node's own. */
export const WORKDIR = '/tmp'

export interface PodFacts {
  readonly pod: ApiObject
  readonly nodeName: string
  readonly hostIP: string
  readonly podIPs: readonly string[]
  /** A ConfigMap or Secret of the pod's namespace. */
  read(resource: 'configmaps' | 'secrets', name: string): ApiObject | undefined
}

export type Environment =
  { readonly kind: 'done'; readonly env: Record<string, string> } | { readonly kind: 'failed'; readonly reason: string }

/** What a container is started with; failed when a ConfigMap, Secret or key it needs is not there (yet). */
export function environmentOf(container: ContainerSpec, facts: PodFacts): Environment {
  const { metadata } = facts.pod
  const env: Record<string, string> = {
    PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: WORKDIR,
    HOSTNAME: metadata.name,
    POD_NAME: metadata.name,
    POD_NAMESPACE: metadata.namespace ?? 'default',
    NODE_NAME: facts.nodeName,
    POD_IP: facts.podIPs[0] ?? '',
  }
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const ref = configMapRef ?? secretRef
    if (ref === undefined) continue
    const data = dataOf(facts, configMapRef ? 'configmaps' : 'secrets', ref.name)
    if (data === undefined && !ref.optional) return missing(configMapRef ? 'ConfigMap' : 'Secret', ref.name)
    for (const [key, value] of Object.entries(data ?? {})) env[prefix + key] = value
  }
  for (const variable of container.env ?? []) {
    const value = valueOf(variable, env, facts)
    if (typeof value === 'object') return value
    if (value !== undefined) env[variable.name] = value
  }
  return { kind: 'done', env }
}

function valueOf(variable: EnvVar, env: Record<string, string>, facts: PodFacts): string | undefined | Environment {
  const { value, valueFrom } = variable
  if (valueFrom === undefined) return expand(value ?? '', env)
  if (valueFrom.fieldRef) return fieldOf(valueFrom.fieldRef.fieldPath, facts)
  if (valueFrom.configMapKeyRef) return keyOf('configmaps', 'ConfigMap', valueFrom.configMapKeyRef, facts)
  if (valueFrom.secretKeyRef) return keyOf('secrets', 'Secret', valueFrom.secretKeyRef, facts)
  return '0' // resourceFieldRef: the lab limits nothing
}

function keyOf(
  resource: 'configmaps' | 'secrets',
  kind: string,
  ref: KeyRef,
  facts: PodFacts,
): string | undefined | Environment {
  const value = dataOf(facts, resource, ref.name)?.[ref.key]
  return value === undefined && !ref.optional ? missing(kind, `${ref.name}, key ${ref.key}`) : value
}

function dataOf(
  facts: PodFacts,
  resource: 'configmaps' | 'secrets',
  name: string,
): Readonly<Record<string, string>> | undefined {
  const content = contentOf(resource, facts.read(resource, name))
  if (content === undefined) return undefined
  return Object.fromEntries(Object.entries(content).map(([key, bytes]) => [key, bytes.toString()]))
}

/** What a ConfigMap or Secret holds, by its keys; undefined: there is no such object. */
export function contentOf(
  resource: 'configmaps' | 'secrets',
  object: ApiObject | undefined,
): Readonly<Record<string, Buffer>> | undefined {
  if (object === undefined) return undefined
  const read = (field: string, encoding: 'utf8' | 'base64'): [string, Buffer][] =>
    Object.entries((object[field] ?? {}) as Record<string, string>).map(([key, text]) => [
      key,
      Buffer.from(text, encoding),
    ])
  const all =
    resource === 'secrets'
      ? [...read('data', 'base64'), ...read('stringData', 'utf8')]
      : [...read('data', 'utf8'), ...read('binaryData', 'base64')]
  return Object.fromEntries(all)
}

function fieldOf(path: string, { pod, nodeName, hostIP, podIPs }: PodFacts): string {
  const item = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path)
  if (item) return pod.metadata[item[1] as 'labels' | 'annotations']?.[item[2]!] ?? ''
  const fields: Readonly<Record<string, string | undefined>> = {
    'metadata.name': pod.metadata.name,
    'metadata.namespace': pod.metadata.namespace,
    'metadata.uid': pod.metadata.uid,
    'spec.nodeName': nodeName,
    'spec.serviceAccountName': pod['spec'].serviceAccountName ?? 'default',
    'status.hostIP': hostIP,
    'status.podIP': podIPs[0],
    'status.podIPs': podIPs.join(','),
  }
  return fields[path] ?? ''
}

/** $(NAME) of what was set before; $$ is a dollar; an unknown name stays as written (kubernetes third_party/forked/golang/expansion). */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$(\$|\(([^)]*)\))/g, (whole, what: string, name: string) =>
    what === '$' ? '$' : (env[name] ?? whole),
  )
}

function missing(kind: string, name: string): Environment {
  return { kind: 'failed', reason: `${kind} ${name} is not there; create it` }
}

/** The page that `up` ends on: what runs where, and three commands to try. */
import type { ApiObject, Fields } from './api/object.ts'
import type { Store } from './api/store.ts'
import { authorityIn } from './place.ts'
import { seconds, type Progress } from './progress.ts'
import type { Published } from './publish.ts'
import { endpointsOf } from './reach.ts'

import { isIngress, waysOf } from './ways.ts'

interface Cluster {
  readonly store: Store
  readonly options: { readonly place: string }
  published(): readonly Published[]
}

export function pageOf(cluster: Cluster, progress: Progress): string {
  const { store } = cluster
  const pods = store.list('pods')
  const services = store.list('services')
  const lines = [
    '',
    progress.bold(`The cluster is up after ${seconds(progress.elapsedMs)}.`),
    '',
    ...table(
      ['NODE', 'ZONE', 'ADDRESS', 'PODS'],
      store.list('nodes').map((node) => nodeLine(node, pods)),
    ),
    '',
  ]
  if (services.length > 0) {
    lines.push(
      ...table(
        ['SERVICE', 'TYPE', 'ADDRESS', 'PORTS', 'ENDPOINTS'],
        services.slice(0, SHOWN_MAX).map((service) => serviceLine(store, service)),
      ),
    )
    if (services.length > SHOWN_MAX)
      lines.push(`... and ${services.length - SHOWN_MAX} more: bin/fairlead get services`)
    lines.push('')
  }
  const published = cluster.published()
  const ports = published.filter((one) => !isIngress(one)).map(publishedLine)
  const open = [...waysOf(store, published, authorityIn(cluster.options.place)), ...ports]
  if (open.length > 0) lines.push('On this machine:', ...open, '')
  lines.push('Try:', ...commandsFor(store).map((command) => `  ${progress.bold(command)}`), '')
  lines.push('Save one of the files and watch what happens. Ctrl-C (or bin/fairlead down) ends it all.')
  return lines.join('\n')
}

function publishedLine({ listen, target, port }: Published): string {
  if (port === null) return `  ${listen}  leads nowhere yet: there is no such Service, or it has no such TCP port`
  return `  ${isHttp(port) ? `http://${listen}` : listen}  ${target}`
}

/** Three commands that work as printed in this cluster. */
export function commandsFor(store: Store): string[] {
  const services = store.list('services').filter(({ spec }) => spec?.selector && spec.clusterIP !== 'None')
  const http = services.filter((service) => looksHttp(service))
  const inside = http.find((service) => service['spec'].type === 'ClusterIP') ?? http[0] ?? services[0]
  const outside = http.find((service) => addressOf(service) !== null)
  const commands: string[] = []
  const client = clientFor(store, inside)
  if (inside && client)
    commands.push(`bin/fairlead exec ${client} -- curl -s http://${hostPort(inside, inside.metadata.name)}`)
  if (outside) commands.push(`bin/fairlead exec outside -- curl -s http://${hostPort(outside, addressOf(outside)!)}`)
  const deployment =
    store.list('deployments').find(({ metadata }) => metadata.name === inside?.metadata.name) ??
    store.list('deployments')[0]
  if (deployment) {
    const space = deployment.metadata.namespace === 'default' ? '' : `-n ${deployment.metadata.namespace} `
    commands.push(
      `bin/fairlead scale ${space}deploy/${deployment.metadata.name} --replicas ${(deployment['spec']?.replicas ?? 1) + 2}`,
    )
  }
  for (const more of ['bin/fairlead get pods -o wide', 'bin/fairlead status', 'bin/fairlead exec node/n1 -- ip route'])
    if (commands.length < COMMANDS) commands.push(more)
  return commands.slice(0, COMMANDS)
}

function nodeLine(node: ApiObject, pods: readonly ApiObject[]): string[] {
  const counts = new Map<string, number>()
  for (const pod of pods)
    if (pod['spec']?.nodeName === node.metadata.name) counts.set(familyOf(pod), (counts.get(familyOf(pod)) ?? 0) + 1)
  const mine = [...counts].map(([name, count]) => (count === 1 ? name : `${name} (${count})`))
  const zone = node.metadata.labels?.['topology.kubernetes.io/zone'] ?? ''
  const address = (node['status']?.addresses as { address: string }[] | undefined)?.[0]?.address ?? ''
  const more = mine.length > PODS_SHOWN ? `, and ${mine.length - PODS_SHOWN} more` : ''
  return [node.metadata.name, zone, address, mine.slice(0, PODS_SHOWN).join(', ') + more || '-']
}

/** What a pod is one of: its Deployment, StatefulSet, ...; else itself. */
function familyOf({ metadata }: ApiObject): string {
  const owner = metadata.ownerReferences?.find(({ controller }) => controller)
  if (owner === undefined) return metadata.name
  const hash = metadata.labels?.['pod-template-hash']
  return owner.kind === 'ReplicaSet' && hash ? owner.name.replace(`-${hash}`, '') : owner.name
}

function serviceLine(store: Store, service: ApiObject): string[] {
  const { spec, status, metadata } = service
  const external = (status?.loadBalancer?.ingress as { ip?: string }[] | undefined)?.find(({ ip }) => ip)?.ip
  const ports = ((spec?.ports ?? []) as { port: number; nodePort?: number; protocol?: string }[])
    .map(({ port, nodePort, protocol = 'TCP' }) => `${port}${nodePort ? `:${nodePort}` : ''}/${protocol.toLowerCase()}`)
    .join(' ')
  const name = metadata.namespace === 'default' ? metadata.name : `${metadata.namespace}/${metadata.name}`
  return [
    name,
    spec?.type ?? 'ClusterIP',
    [spec?.clusterIP, external].filter(Boolean).join(' '),
    ports,
    endpoints(store, service),
  ]
}

function endpoints(store: Store, service: ApiObject): string {
  const ready = endpointsOf(store, service).filter((endpoint) => endpoint.ready)
  const first = service['spec']?.ipFamilies?.[0] === 'IPv6' // the other family has the same pods
  return String(new Set(ready.map(({ ip }) => ip).filter((ip) => ip.includes(':') === first)).size)
}

function looksHttp(service: ApiObject): boolean {
  const [port] = service['spec'].ports as Fields[]
  return port !== undefined && isHttp(port)
}

function isHttp({ name = '', port, protocol = 'TCP' }: Fields): boolean {
  return protocol === 'TCP' && (/http/.test(name) || [80, 8080, 8000].includes(port))
}

function addressOf(service: ApiObject): string | null {
  const ingress = (service['status']?.loadBalancer?.ingress ?? []) as { ip?: string }[]
  return ingress.find(({ ip }) => ip && !ip.includes(':'))?.ip ?? null
}

function hostPort(service: ApiObject, host: string): string {
  const { port } = service['spec'].ports[0]
  return port === 80 ? host : `${host}:${port}`
}

/** A deployment of the same namespace to call from: another one than the service's own, if there is one. */
function clientFor(store: Store, service: ApiObject | undefined): string | null {
  if (service === undefined || service.metadata.namespace !== 'default') return null
  const names = store.list('deployments', 'default').map(({ metadata }) => metadata.name)
  const name = names.find((candidate) => candidate !== service.metadata.name) ?? names[0]
  if (name !== undefined) return `deploy/${name}`
  const pod = store.list('pods', 'default')[0]
  return pod ? pod.metadata.name : null
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  return [head, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
}

const COMMANDS = 3
const SHOWN_MAX = 20
const PODS_SHOWN = 12

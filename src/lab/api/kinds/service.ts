/** Services: defaults and checks of k8s.io/kubernetes/pkg/apis/core (v1/defaults.go, validation), without addresses. */
import { parseAddress, parseCidr, specialKind } from '../../../cluster/address.ts'
import { cut, same, textOf, type ApiObject, type Fields } from '../object.ts'
import { byDefault, listOf, type Problems } from './problems.ts'

export function defaultService(service: ApiObject, previous: ApiObject | null): void {
  byDefault(service, 'spec', {})
  byDefault(service, 'status', {})
  byDefault(service['status'], 'loadBalancer', {})
  const spec: Fields = service['spec']
  byDefault(spec, 'type', 'ClusterIP')
  byDefault(spec, 'sessionAffinity', 'None')
  for (const port of listOf(spec['ports'])) {
    byDefault(port, 'protocol', 'TCP')
    if (port['targetPort'] === '' || port['targetPort'] === 0) delete port['targetPort']
    byDefault(port, 'targetPort', port['port'])
  }
  if (spec['sessionAffinity'] === 'ClientIP') {
    byDefault(spec, 'sessionAffinityConfig', {})
    byDefault(spec['sessionAffinityConfig'], 'clientIP', {})
    byDefault(spec['sessionAffinityConfig'].clientIP, 'timeoutSeconds', AFFINITY_SECONDS)
  } else delete spec['sessionAffinityConfig']
  if (previous !== null) {
    letGo(spec, previous['spec'])
    followClusterIP(spec, previous['spec'])
  }
  if (spec['type'] !== 'ExternalName') byDefault(spec, 'internalTrafficPolicy', 'Cluster')
  if (isReachedFromOutside(spec)) byDefault(spec, 'externalTrafficPolicy', 'Cluster')
  if (spec['type'] === 'LoadBalancer') byDefault(spec, 'allocateLoadBalancerNodePorts', true)
}

export function checkService(service: ApiObject, previous: ApiObject | null, problems: Problems): void {
  const spec: Fields = service['spec']
  problems.oneOf('spec.type', spec['type'], ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'])
  problems.oneOf('spec.sessionAffinity', spec['sessionAffinity'], ['None', 'ClientIP'])
  const seconds: unknown = spec['sessionAffinityConfig']?.clientIP?.timeoutSeconds
  if (seconds !== undefined) problems.whole('spec.sessionAffinityConfig.clientIP.timeoutSeconds', seconds, 1, 86_400)
  if (spec['type'] === 'ExternalName') problems.subdomain('spec.externalName', spec['externalName']?.replace(/\.$/, ''))
  problems.labels('spec.selector', spec['selector'])
  checkPorts(spec, problems)
  checkPolicies(spec, problems)
  checkAddresses(spec, problems)
  if (previous !== null) checkUnchanged(spec, previous['spec'], problems)
}

export function hasNodePorts(spec: Fields): boolean {
  return spec['type'] === 'NodePort' || spec['type'] === 'LoadBalancer'
}

export function isHeadless(spec: Fields): boolean {
  return spec['clusterIP'] === 'None' || spec['clusterIPs']?.[0] === 'None'
}

export function needsHealthCheckPort(spec: Fields): boolean {
  return spec['type'] === 'LoadBalancer' && spec['externalTrafficPolicy'] === 'Local'
}

function checkPorts(spec: Fields, problems: Problems): void {
  const ports = listOf(spec['ports'])
  if (ports.length === 0 && spec['type'] !== 'ExternalName' && !isHeadless(spec)) {
    problems.add('spec.ports', 'is empty', 'write at least one port, or clusterIP: None')
  }
  const seen = new Map<string, number>()
  const once = (key: string, field: string, what: string, i: number): void => {
    const other = seen.get(key)
    if (other !== undefined) problems.add(field, `${what} is that of ports[${other}] too`, 'change one of them')
    seen.set(key, i)
  }
  for (const [i, port] of ports.entries()) {
    const at = `spec.ports[${i}]`
    problems.port(`${at}.port`, port['port'])
    problems.oneOf(`${at}.protocol`, port['protocol'], ['TCP', 'UDP', 'SCTP'])
    if (typeof port['targetPort'] === 'string') problems.portName(`${at}.targetPort`, port['targetPort'])
    else problems.port(`${at}.targetPort`, port['targetPort'])
    if (port['name'] !== undefined) problems.label(`${at}.name`, port['name'])
    else if (ports.length > 1) problems.add(`${at}.name`, 'is missing', 'name each port when there are several')
    once(`name ${port['name']}`, `${at}.name`, cut(port['name']), i)
    once(`port ${port['port']}/${port['protocol']}`, `${at}.port`, `${cut(port['port'])}/${port['protocol']}`, i)
    if (!port['nodePort']) continue
    problems.port(`${at}.nodePort`, port['nodePort'])
    once(`node ${port['nodePort']}/${port['protocol']}`, `${at}.nodePort`, `${port['nodePort']}/${port['protocol']}`, i)
    if (!hasNodePorts(spec)) {
      problems.add(`${at}.nodePort`, `is given with type ${spec['type']}`, 'use type NodePort or leave it out')
    }
  }
}

function checkPolicies(spec: Fields, problems: Problems): void {
  const { internalTrafficPolicy: internal, externalTrafficPolicy: external, trafficDistribution } = spec
  if (internal !== undefined) problems.oneOf('spec.internalTrafficPolicy', internal, ['Cluster', 'Local'])
  if (external !== undefined) {
    problems.oneOf('spec.externalTrafficPolicy', external, ['Cluster', 'Local'])
    if (!isReachedFromOutside(spec)) {
      const remedy = 'leave it out, or use type NodePort or LoadBalancer'
      problems.add('spec.externalTrafficPolicy', 'is given for a Service that nothing outside reaches', remedy)
    }
  }
  if (trafficDistribution !== undefined) {
    const known = ['PreferClose', 'PreferSameZone', 'PreferSameNode']
    problems.oneOf('spec.trafficDistribution', trafficDistribution, known)
  }
  if (spec['healthCheckNodePort'] && !needsHealthCheckPort(spec)) {
    const remedy = 'leave it out, or use type LoadBalancer with externalTrafficPolicy Local'
    problems.add('spec.healthCheckNodePort', 'is given where no health check is', remedy)
  }
}

function checkAddresses(spec: Fields, problems: Problems): void {
  if (spec['type'] === 'ExternalName' && (spec['clusterIP'] || spec['clusterIPs']?.length > 0)) {
    problems.add('spec.clusterIP', 'is given with type ExternalName', 'leave it out: such a Service is only a name')
  }
  for (const [i, ip] of (spec['externalIPs'] ?? []).entries()) {
    const address = parseAddress(ip)
    const special = address === null ? 'not an IP address' : specialKind(address)
    if (special !== null)
      problems.add(`spec.externalIPs[${i}]`, `${cut(ip)} is ${special}`, 'use an address like 192.0.2.1')
  }
  const ranges: unknown[] = spec['loadBalancerSourceRanges'] ?? []
  for (const [i, range] of ranges.entries()) {
    if (parseCidr(range) !== null) continue
    problems.add(`spec.loadBalancerSourceRanges[${i}]`, `${cut(range)} is not a CIDR`, 'write a range like 10.0.0.0/8')
  }
  if (ranges.length > 0 && spec['type'] !== 'LoadBalancer') {
    problems.add(
      'spec.loadBalancerSourceRanges',
      `is given with type ${spec['type']}`,
      'use type LoadBalancer or leave it out',
    )
  }
}

function checkUnchanged(spec: Fields, previous: Fields, problems: Problems): void {
  const old: unknown = previous['clusterIPs']?.[0]
  const next: unknown = spec['clusterIPs']?.[0] ?? spec['clusterIP']
  if (!old || !next || previous['type'] === 'ExternalName' || spec['type'] === 'ExternalName' || next === old) return
  const remedy = 'keep it or leave it out; for another address delete the Service and make a new one'
  problems.fixed('spec.clusterIP', `${cut(next)} would replace ${old}, which cannot change`, remedy)
}

/** What belongs to the old type goes with it, unless it was changed too (dropTypeDependentFields upstream). */
function letGo(spec: Fields, previous: Fields): void {
  const drop = (field: string, keeps: boolean): void => {
    if (!keeps && spec[field] !== undefined && textOf(spec[field]) === textOf(previous[field])) delete spec[field]
  }
  if (!hasNodePorts(spec) && hasNodePorts(previous)) {
    const old = new Set(listOf(previous['ports']).map(({ nodePort }) => nodePort))
    for (const port of listOf(spec['ports'])) if (old.has(port['nodePort'])) delete port['nodePort']
  }
  const isExternalName = spec['type'] === 'ExternalName'
  for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy', 'internalTrafficPolicy']) {
    drop(field, !isExternalName)
  }
  drop('externalName', isExternalName)
  drop('externalTrafficPolicy', isReachedFromOutside(spec))
  drop('healthCheckNodePort', needsHealthCheckPort(spec))
  drop('allocateLoadBalancerNodePorts', spec['type'] === 'LoadBalancer')
  drop('loadBalancerSourceRanges', spec['type'] === 'LoadBalancer')
  drop('loadBalancerClass', spec['type'] === 'LoadBalancer')
}

/** Who changes only clusterIP means both fields (NormalizeClusterIPs upstream). */
function followClusterIP(spec: Fields, previous: Fields): void {
  if (spec['clusterIP'] === previous['clusterIP'] || !same(spec['clusterIPs'], previous['clusterIPs'])) return
  if (spec['clusterIP']) spec['clusterIPs'] = [spec['clusterIP']]
  else delete spec['clusterIPs']
}

function isReachedFromOutside(spec: Fields): boolean {
  return hasNodePorts(spec) || (spec['type'] === 'ClusterIP' && (spec['externalIPs']?.length ?? 0) > 0)
}

const AFFINITY_SECONDS = 10_800

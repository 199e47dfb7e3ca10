/** Pods, and the pod templates of workloads: defaults of k8s.io/kubernetes/pkg/apis/core/v1/defaults.go, and checks. */
import { cut, draft, same, textOf, type ApiObject, type Fields } from '../object.ts'
import { byDefault, listOf, type Problems } from './problems.ts'

export function defaultPod(pod: ApiObject): void {
  byDefault(pod, 'spec', {})
  defaultPodSpec(pod['spec'])
  byDefault(pod, 'status', {})
  byDefault(pod['status'], 'phase', 'Pending')
}

export function defaultPodSpec(spec: Fields): void {
  byDefault(spec, 'restartPolicy', 'Always')
  byDefault(spec, 'dnsPolicy', 'ClusterFirst')
  byDefault(spec, 'terminationGracePeriodSeconds', 30)
  byDefault(spec, 'schedulerName', 'default-scheduler')
  byDefault(spec, 'securityContext', {})
  byDefault(spec, 'enableServiceLinks', true)
  byDefault(spec, 'serviceAccountName', spec['serviceAccount'] ?? 'default')
  for (const container of containersOf(spec)) defaultContainer(container, spec['hostNetwork'] === true)
}

export function checkPod(pod: ApiObject, previous: ApiObject | null, problems: Problems): void {
  checkPodSpec(pod['spec'], 'spec', problems)
  if (previous !== null && !same(changeable(pod), changeable(previous))) {
    const remedy = 'delete the pod and make a new one, or change the template of what owns it'
    problems.fixed('spec', 'of a pod cannot change, but for images, tolerations and activeDeadlineSeconds', remedy)
  }
}

export function checkPodSpec(spec: Fields, path: string, problems: Problems): void {
  if (listOf(spec['containers']).length === 0) {
    problems.add(`${path}.containers`, 'is empty', 'give the pod at least one container')
  }
  problems.oneOf(`${path}.restartPolicy`, spec['restartPolicy'], ['Always', 'OnFailure', 'Never'])
  problems.whole(`${path}.terminationGracePeriodSeconds`, spec['terminationGracePeriodSeconds'], 0)
  if (spec['hostname'] !== undefined) problems.label(`${path}.hostname`, spec['hostname'])
  if (spec['subdomain'] !== undefined) problems.label(`${path}.subdomain`, spec['subdomain'])
  const names = new Set<unknown>()
  for (const field of ['initContainers', 'containers']) {
    for (const [i, container] of listOf(spec[field]).entries()) {
      const at = `${path}.${field}[${i}]`
      problems.label(`${at}.name`, container['name'])
      if (names.has(container['name']))
        problems.add(`${at}.name`, `${cut(container['name'])} is there twice`, 'rename one')
      names.add(container['name'])
      checkPorts(container, at, problems)
    }
  }
}

export function containersOf(spec: Fields): Fields[] {
  return [...listOf(spec['initContainers']), ...listOf(spec['containers'])]
}

function checkPorts(container: Fields, at: string, problems: Problems): void {
  const names = new Set<unknown>()
  for (const [i, port] of listOf(container['ports']).entries()) {
    problems.port(`${at}.ports[${i}].containerPort`, port['containerPort'])
    problems.oneOf(`${at}.ports[${i}].protocol`, port['protocol'], ['TCP', 'UDP', 'SCTP'])
    if (port['hostPort'] !== undefined) problems.port(`${at}.ports[${i}].hostPort`, port['hostPort'])
    if (port['name'] === undefined) continue
    problems.portName(`${at}.ports[${i}].name`, port['name'])
    if (names.has(port['name']))
      problems.add(`${at}.ports[${i}].name`, `${cut(port['name'])} is there twice`, 'rename one')
    names.add(port['name'])
  }
}

function defaultContainer(container: Fields, onHost: boolean): void {
  byDefault(container, 'terminationMessagePath', '/dev/termination-log')
  byDefault(container, 'terminationMessagePolicy', 'File')
  byDefault(container, 'resources', {})
  const image = textOf(container['image'] ?? '')
  const isLatest = !/[:@][^/]+$/.test(image) || image.endsWith(':latest')
  byDefault(container, 'imagePullPolicy', isLatest ? 'Always' : 'IfNotPresent')
  for (const port of listOf(container['ports'])) {
    byDefault(port, 'protocol', 'TCP')
    if (onHost) byDefault(port, 'hostPort', port['containerPort'])
  }
  for (const variable of listOf(container['env'])) {
    const field: unknown = variable['valueFrom']?.fieldRef
    if (typeof field === 'object' && field !== null) byDefault(field, 'apiVersion', 'v1')
  }
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    const probe: unknown = container[name]
    if (typeof probe === 'object' && probe !== null) defaultProbe(probe)
  }
}

function defaultProbe(probe: Fields): void {
  byDefault(probe, 'timeoutSeconds', 1)
  byDefault(probe, 'periodSeconds', 10)
  byDefault(probe, 'successThreshold', 1)
  byDefault(probe, 'failureThreshold', 3)
  const { httpGet, grpc } = probe
  if (httpGet) {
    byDefault(httpGet, 'path', '/')
    byDefault(httpGet, 'scheme', 'HTTP')
  }
  if (grpc) byDefault(grpc, 'service', '')
}

/** What of a spec must stay: the node may be set once, by the scheduler. */
function changeable(pod: ApiObject): Fields {
  const spec: Fields = draft(pod['spec'])
  for (const container of containersOf(spec)) delete container['image']
  for (const field of CHANGEABLE) delete spec[field]
  return spec
}

const CHANGEABLE = [
  'nodeName',
  'tolerations',
  'activeDeadlineSeconds',
  'terminationGracePeriodSeconds',
  'schedulingGates',
]

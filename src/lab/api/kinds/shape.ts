/** Which type each field has that we read: what is of another type is refused before anything stumbles over it. */
import { cut, isObject } from '../object.ts'
import type { Problems } from './problems.ts'

/** A list has one element: the shape of its items. An object: shapes of its known fields; others pass as they are. */
export type Shape =
  | 'string'
  | 'number'
  | 'boolean'
  /** A number, or text like `25%` or a port's name. */
  | 'number or string'
  /** Text by text: labels, selectors. */
  | 'map'
  | readonly [Shape]
  | { readonly [field: string]: Shape }

/** Fields that are null are taken out, as the API does: they are absent. */
export function conform(value: unknown, shape: Shape, path: string, problems: Problems): void {
  if (!isOf(value, shape)) {
    return problems.add(path, `${cut(value)} is not ${nameOf(shape)}`, 'compare it with the API reference')
  }
  if (Array.isArray(shape)) {
    for (const [i, item] of (value as unknown[]).entries()) conform(item, shape[0] as Shape, `${path}[${i}]`, problems)
  } else if (typeof shape !== 'string' && isObject(value)) {
    const fields = shape as Readonly<Record<string, Shape>>
    for (const [field, inner] of Object.entries(value)) {
      if (inner === null) delete value[field]
      else if (Object.hasOwn(fields, field)) conform(inner, fields[field]!, `${path}.${field}`, problems)
    }
  }
}

function isOf(value: unknown, shape: Shape): boolean {
  if (Array.isArray(shape)) return Array.isArray(value)
  if (shape === 'map') return isObject(value) && Object.values(value).every((text) => typeof text === 'string')
  if (shape === 'number or string') return typeof value === 'number' || typeof value === 'string'
  return typeof shape === 'string' ? typeof value === shape : isObject(value)
}

function nameOf(shape: Shape): string {
  if (Array.isArray(shape)) return 'a list'
  if (shape === 'map') return 'a map of strings (put numbers and true/false in quotes)'
  return typeof shape === 'string' ? `a ${shape}` : 'an object'
}

const EXPRESSION: Shape = { key: 'string', operator: 'string', values: ['string'] }
const LABEL_SELECTOR: Shape = { matchLabels: 'map', matchExpressions: [EXPRESSION] }
const META: Shape = { labels: 'map', annotations: 'map', name: 'string' }
const PROBE: Shape = {
  httpGet: {
    port: 'number or string',
    path: 'string',
    scheme: 'string',
    httpHeaders: [{ name: 'string', value: 'string' }],
  },
  tcpSocket: { port: 'number or string' },
  grpc: { port: 'number' },
  exec: { command: ['string'] },
  initialDelaySeconds: 'number',
  periodSeconds: 'number',
  timeoutSeconds: 'number',
  successThreshold: 'number',
  failureThreshold: 'number',
}
const CONTAINER: Shape = {
  name: 'string',
  image: 'string',
  command: ['string'],
  args: ['string'],
  env: [{ name: 'string', value: 'string', valueFrom: { fieldRef: {} } }],
  envFrom: [{}],
  ports: [{ name: 'string', containerPort: 'number', hostPort: 'number', protocol: 'string' }],
  livenessProbe: PROBE,
  readinessProbe: PROBE,
  startupProbe: PROBE,
  restartPolicy: 'string',
}
const POD_TERM: Shape = { topologyKey: 'string', labelSelector: LABEL_SELECTOR, namespaces: ['string'] }
const POD_AFFINITY: Shape = {
  requiredDuringSchedulingIgnoredDuringExecution: [POD_TERM],
  preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 'number', podAffinityTerm: POD_TERM }],
}
const NODE_TERM: Shape = { matchExpressions: [EXPRESSION], matchFields: [EXPRESSION] }
const POD_SPEC: Shape = {
  containers: [CONTAINER],
  initContainers: [CONTAINER],
  nodeName: 'string',
  nodeSelector: 'map',
  hostname: 'string',
  subdomain: 'string',
  hostNetwork: 'boolean',
  restartPolicy: 'string',
  terminationGracePeriodSeconds: 'number',
  tolerations: [{ key: 'string', operator: 'string', value: 'string', effect: 'string' }],
  volumes: [{ name: 'string' }],
  topologySpreadConstraints: [{ topologyKey: 'string', maxSkew: 'number', labelSelector: LABEL_SELECTOR }],
  affinity: {
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [NODE_TERM] } },
    podAffinity: POD_AFFINITY,
    podAntiAffinity: POD_AFFINITY,
  },
}
const WORKLOAD: Shape = {
  spec: {
    replicas: 'number',
    minReadySeconds: 'number',
    revisionHistoryLimit: 'number',
    paused: 'boolean',
    progressDeadlineSeconds: 'number',
    selector: LABEL_SELECTOR,
    template: { metadata: META, spec: POD_SPEC },
    strategy: {
      type: 'string',
      rollingUpdate: { maxSurge: 'number or string', maxUnavailable: 'number or string' },
    },
    updateStrategy: {
      type: 'string',
      rollingUpdate: { partition: 'number', maxSurge: 'number or string', maxUnavailable: 'number or string' },
    },
    podManagementPolicy: 'string',
    serviceName: 'string',
    ordinals: { start: 'number' },
    volumeClaimTemplates: [{ metadata: META }],
    completions: 'number',
    parallelism: 'number',
    backoffLimit: 'number',
    activeDeadlineSeconds: 'number',
    ttlSecondsAfterFinished: 'number',
    suspend: 'boolean',
  },
}

export const SHAPES: Readonly<Record<string, Shape>> = {
  pods: {
    spec: POD_SPEC,
    status: { phase: 'string', podIPs: [{ ip: 'string' }], conditions: [{ type: 'string' }], containerStatuses: [{}] },
  },
  services: {
    spec: {
      type: 'string',
      clusterIP: 'string',
      clusterIPs: ['string'],
      ipFamilies: ['string'],
      ipFamilyPolicy: 'string',
      externalIPs: ['string'],
      externalName: 'string',
      loadBalancerIP: 'string',
      loadBalancerSourceRanges: ['string'],
      healthCheckNodePort: 'number',
      selector: 'map',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 'number' } },
      ports: [
        {
          name: 'string',
          protocol: 'string',
          port: 'number',
          targetPort: 'number or string',
          nodePort: 'number',
          appProtocol: 'string',
        },
      ],
    },
    status: { loadBalancer: { ingress: [{ ip: 'string' }] } },
  },
  endpointslices: {
    addressType: 'string',
    endpoints: [{ addresses: ['string'], conditions: {}, targetRef: {}, nodeName: 'string', zone: 'string' }],
    ports: [{ name: 'string', protocol: 'string', port: 'number' }],
  },
  endpoints: {
    subsets: [
      {
        addresses: [{ ip: 'string', hostname: 'string', nodeName: 'string', targetRef: {} }],
        notReadyAddresses: [{ ip: 'string', hostname: 'string', nodeName: 'string', targetRef: {} }],
        ports: [{ name: 'string', port: 'number', protocol: 'string', appProtocol: 'string' }],
      },
    ],
  },
  nodes: {
    spec: {
      unschedulable: 'boolean',
      podCIDRs: ['string'],
      taints: [{ key: 'string', value: 'string', effect: 'string' }],
    },
    status: { conditions: [{ type: 'string' }], addresses: [{ type: 'string', address: 'string' }] },
  },
  namespaces: { spec: { finalizers: ['string'] }, status: {} },
  deployments: WORKLOAD,
  replicasets: WORKLOAD,
  statefulsets: WORKLOAD,
  daemonsets: WORKLOAD,
  jobs: WORKLOAD,
}

/** Of every kind. */
export const METADATA: Shape = {
  name: 'string',
  generateName: 'string',
  namespace: 'string',
  labels: 'map',
  annotations: 'map',
  finalizers: ['string'],
  ownerReferences: [{ apiVersion: 'string', kind: 'string', name: 'string', uid: 'string' }],
}

/** The cluster's ingress in the lab: as on a real cluster a Deployment and a Service, with the shipped programs in it. */
import type { Raw } from '../cluster/raw.ts'
import { join } from 'node:path'
import { apiSocketIn } from './place.ts'
import { CACHE, CARRIER, COMMAND } from './program.ts'

/** Its Service. */
export const INGRESS = { namespace: 'kube-system', name: 'fairlead-ingress' } as const
/** Its IngressClass: the default one. */
export const INGRESS_CLASS = 'fairlead'

/** To be applied before anything else. */
export function ingressObjects({ place }: { readonly place: string }): readonly Raw[] {
  const labels = { 'app.kubernetes.io/name': INGRESS.name }
  const metadata = { ...INGRESS, labels }
  const ingressClass = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IngressClass',
    metadata: { name: INGRESS_CLASS, annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' } },
    spec: { controller: 'fairlead.io/ingress' },
  }
  const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: SETTINGS }
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: {
      type: 'LoadBalancer',
      // The last of the pool: those of a person's own Services are the first ones, with or without an ingress.
      loadBalancerIP: '172.30.0.254',
      selector: labels,
      ports: [
        { name: 'http', port: 80, targetPort: 'http' },
        { name: 'https', port: 443, targetPort: 'https' },
      ],
    },
  }
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: {
      replicas: 1,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: podSpec(place) },
    },
  }
  return [ingressClass, config, service, deployment] as unknown as readonly Raw[]
}

function podSpec(place: string): object {
  const folder = { name: 'socket', mountPath: SOCKET_FOLDER }
  const socket = join(SOCKET_FOLDER, 'proxy.sock')
  const api = ['--api-server', `unix://${apiSocketIn(place)}`]
  const field = (name: string, fieldPath: string): object => ({ name, valueFrom: { fieldRef: { fieldPath } } })
  return {
    dnsPolicy: 'Default',
    terminationGracePeriodSeconds: 30,
    volumes: [{ name: 'socket', emptyDir: {} }],
    containers: [
      {
        name: 'carrier',
        command: [CARRIER, 'proxy', '--socket', socket, '--state', join(SOCKET_FOLDER, 'state')],
        args: ['--http', `0.0.0.0:${STATUS_PORT}`],
        ports: [
          { name: 'http', containerPort: 80 },
          { name: 'https', containerPort: 443 },
          { name: 'metrics', containerPort: STATUS_PORT },
        ],
        readinessProbe: { httpGet: { path: '/ready', port: STATUS_PORT }, periodSeconds: 1, timeoutSeconds: 5 },
        livenessProbe: {
          httpGet: { path: '/health', port: STATUS_PORT },
          initialDelaySeconds: 60,
          timeoutSeconds: 5,
          failureThreshold: 5,
        },
        // Until it is out of every node's rules, new connections come.
        lifecycle: { preStop: { sleep: { seconds: 5 } } },
        volumeMounts: [folder],
      },
      {
        name: 'controller',
        command: [COMMAND, 'ingress', '--socket', socket, ...api],
        args: ['--publish-service', PATH, '--configmap', PATH],
        env: [
          { name: 'NODE_COMPILE_CACHE', value: join(CACHE, 'node') },
          field('POD_NAME', 'metadata.name'),
          field('POD_NAMESPACE', 'metadata.namespace'),
        ],
        volumeMounts: [folder],
      },
    ],
  }
}

/** Names below localhost are http at one port of this machine and https at another: no answer may lead from one to the other. */
const SETTINGS = { 'ssl-redirect': 'false', hsts: 'false', 'disable-access-log': 'true' }
const PATH = `${INGRESS.namespace}/${INGRESS.name}`
const SOCKET_FOLDER = '/run/fairlead-ingress'
/** ingress-nginx's for health and metrics. */
const STATUS_PORT = 10254

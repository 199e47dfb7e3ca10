/** The cluster's DNS in the lab: as on a real cluster a Deployment and the Service kube-dns, with the shipped programs in it. */
import type { Raw } from '../cluster/raw.ts'
import { join } from 'node:path'
import type { LabOptions } from './outer.ts'
import { apiSocketIn, dnsIn } from './place.ts'
import { CACHE, CARRIER, COMMAND } from './program.ts'
import type { ClusterDns } from './resolvconf.ts'

/** kubeadm's address of kube-dns, and the same place in the range of IPv6. */
export const CLUSTER_DNS: ClusterDns = { nameservers: ['10.96.0.10', 'fd00:10:96::a'], domain: 'cluster.local' }

/** Of a server on each node, where there are such: NodeLocal DNSCache's, and one of IPv6. */
export const NODE_LOCAL_DNS = ['169.254.20.10', 'fd00:169:254:20::10']

/** To be applied before anything else. */
export function dnsObjects({ place, nodes, nodeLocalDns }: LabOptions): readonly Raw[] {
  const metadata = (name: string): object => ({ name, namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } })
  const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata('coredns'), data: { Corefile: COREFILE } }
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadata('kube-dns'),
    spec: {
      clusterIP: CLUSTER_DNS.nameservers[0],
      clusterIPs: CLUSTER_DNS.nameservers,
      ipFamilyPolicy: 'PreferDualStack',
      selector: { 'k8s-app': 'kube-dns' },
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'dns-tcp', port: 53, protocol: 'TCP' },
        { name: 'metrics', port: 9153, protocol: 'TCP' },
      ],
    },
  }
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadata('coredns'),
    spec: {
      replicas: Math.min(nodes, REPLICAS),
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      selector: { matchLabels: { 'k8s-app': 'kube-dns' } },
      template: { metadata: { labels: { 'k8s-app': 'kube-dns' } }, spec: podSpec(place) },
    },
  }
  const all = [config, service, deployment, ...(nodeLocalDns ? [nodeLocal(place)] : [])]
  return all as unknown as readonly Raw[]
}

function nodeLocal(place: string): object {
  const labels = { 'k8s-app': 'node-local-dns' }
  const agents = { name: 'agent', mountPath: AGENT_FOLDER }
  const { volumes, containers, ...spec } = podSpec(place)
  const [carrier, controller] = containers
  const addresses = [...NODE_LOCAL_DNS, ...CLUSTER_DNS.nameservers].join(',')
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'node-local-dns', namespace: 'kube-system', labels },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          ...{ ...spec, hostNetwork: true },
          volumes: [...volumes, { name: 'agent', hostPath: { path: AGENT_FOLDER } }],
          containers: [
            {
              ...carrier,
              command: [...carrier.command, '--node-local', join(AGENT_FOLDER, 'node-local-dns.sock')],
              volumeMounts: [...carrier.volumeMounts, agents],
            },
            { ...controller, command: [...controller.command, '--localip', addresses] },
          ],
        },
      },
    },
  }
}

function podSpec(place: string) {
  const socket = { name: 'socket', mountPath: SOCKET_FOLDER }
  return {
    dnsPolicy: 'Default',
    // Answers last queries while it is taken out of the Service: lameduck of the Corefile.
    terminationGracePeriodSeconds: 30,
    volumes: [
      { name: 'config', configMap: { name: 'coredns' } },
      { name: 'socket', emptyDir: {} },
    ],
    containers: [
      {
        name: 'carrier',
        command: [CARRIER, 'dns', '--socket', join(SOCKET_FOLDER, 'dns.sock'), '--state', join(SOCKET_FOLDER, 'state')],
        ports: [
          { name: 'dns', containerPort: 53, protocol: 'UDP' },
          { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' },
          { name: 'metrics', containerPort: 9153, protocol: 'TCP' },
        ],
        readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1, timeoutSeconds: 5 },
        livenessProbe: { httpGet: { path: '/health', port: 8080 }, initialDelaySeconds: 60, failureThreshold: 5 },
        volumeMounts: [socket],
      },
      {
        name: 'controller',
        command: [COMMAND, 'dns', '--corefile', '/etc/coredns/Corefile', '--socket', join(SOCKET_FOLDER, 'dns.sock')],
        args: ['--api-server', `unix://${apiSocketIn(place)}`, '--status-socket', join(dnsIn(place), '$(POD_IP).sock')],
        env: [{ name: 'NODE_COMPILE_CACHE', value: join(CACHE, 'node') }],
        volumeMounts: [socket, { name: 'config', mountPath: '/etc/coredns', readOnly: true }],
      },
    ] as const,
  }
}

/** kubeadm's, but for `forward` and `loop` (the lab has no resolver to forward to), and sooner read again. */
const COREFILE = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    reload 2s 1s
    loadbalance
}
`
/** As `fairlead agent --node-local-dns-socket` is unless told otherwise. */
const AGENT_FOLDER = '/run/fairlead'
const SOCKET_FOLDER = '/run/fairlead-dns'
const REPLICAS = 2

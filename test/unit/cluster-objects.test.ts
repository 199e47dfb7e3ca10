import t from 'tap'
import { parseNamespace } from '../../src/cluster/namespace.ts'
import { parseNode } from '../../src/cluster/node.ts'
import { parsePod } from '../../src/cluster/pod.ts'
import { parseServiceCIDR } from '../../src/cluster/servicecidr.ts'
import { parseServiceImport } from '../../src/cluster/serviceimport.ts'

t.test('Node', async (t) => {
  const labels = { 'topology.kubernetes.io/zone': 'z-a', 'kubernetes.io/os': 'linux' }
  const annotations = { 'flannel.alpha.coreos.com/public-ip': '192.0.2.1', 'example.com/large': 'x'.repeat(100_000) }
  const parsed = parseNode({
    metadata: { name: 'n1', labels, annotations, deletionTimestamp: '2026-01-01T00:00:00Z' },
    spec: {
      podCIDR: '10.244.1.0/24',
      podCIDRs: ['10.244.1.0/24', 'FD00:10:244:1::/64'],
      taints: [{ key: 'gone', effect: 'NoSchedule' }],
    },
    status: {
      addresses: [
        { type: 'InternalIP', address: '172.30.0.11' },
        { type: 'InternalIP', address: 'FD00:172:30::11' },
        { type: 'ExternalIP', address: '198.51.100.11' },
        { type: 'Hostname', address: 'n1' },
      ],
    },
  })
  t.same(parsed, {
    row: {
      ...{ name: 'n1', created: 0, internalIPs: ['172.30.0.11', 'fd00:172:30::11'], externalIPs: ['198.51.100.11'] },
      ...{ podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'], zone: 'z-a', deleting: true, taints: ['gone'] },
      labels: new Map(Object.entries(labels)),
      annotations: new Map([['flannel.alpha.coreos.com/public-ip', '192.0.2.1']]),
    },
    rejections: [],
  })
  t.same(parseNode({ metadata: { name: 'n1' } }), {
    row: {
      ...{
        name: 'n1',
        created: 0,
        internalIPs: [],
        externalIPs: [],
        podCIDRs: [],
        zone: null,
        labels: new Map(),
        annotations: new Map(),
      },
      ...{ deleting: false, taints: [] },
    },
    rejections: [],
  })
  t.match(parseNode({ metadata: { name: 'n1' }, spec: { podCIDR: '10.244.1.5/24' } }), {
    row: { podCIDRs: ['10.244.1.0/24'] },
    rejections: [
      { object: 'Node n1', field: 'spec.podCIDR[0]', problem: 'is "10.244.1.5/24"; taken as 10.244.1.0/24' },
    ],
  })
  const addresses = [
    { type: 'InternalIP', address: '127.0.0.1' },
    { type: 'InternalIP', address: '192.0.2.2' },
  ]
  t.match(parseNode({ metadata: { name: 'n1' }, status: { addresses } }), {
    row: { internalIPs: ['192.0.2.2'] },
    rejections: [{ field: 'status.addresses[0].address', problem: /loopback/ }],
  })
})

t.test('Namespace and ServiceCIDR', async (t) => {
  t.same(parseNamespace({ metadata: { name: 'shop', labels: { team: 'a' } } }), {
    row: { name: 'shop', labels: new Map([['team', 'a']]) },
    rejections: [],
  })
  t.match(parseNamespace({ metadata: { name: 'shop', labels: { team: 7, ok: 'yes' } } }), {
    row: { labels: new Map([['ok', 'yes']]) },
    rejections: [
      { field: 'metadata.labels["team"]', problem: 'is 7, not text; left out', remedy: 'write the value in quotes' },
    ],
  })
  t.match(
    parseServiceCIDR({ metadata: { name: 'kubernetes' }, spec: { cidrs: ['10.96.0.0/16', 'x', 'fd00:10:96::/112'] } }),
    {
      row: { name: 'kubernetes', cidrs: ['10.96.0.0/16', 'fd00:10:96::/112'] },
      rejections: [{ field: 'spec.cidrs[1]' }],
    },
  )
})

t.test('Pod', async (t) => {
  const labels = { app: 'web', 'pod-template-hash': 'abc' }
  const raw = (name: string) => ({
    metadata: { namespace: 'shop', name, labels: { ...labels } },
    spec: {
      nodeName: 'n1',
      containers: [
        {
          ports: [
            { name: 'http', containerPort: 8080 },
            { containerPort: 9090 },
            { name: 'dns', containerPort: 53, protocol: 'UDP' },
          ],
        },
      ],
      initContainers: [
        { ports: [{ name: 'once', containerPort: 1 }] },
        { restartPolicy: 'Always', ports: [{ name: 'mesh', containerPort: 15_000 }] },
      ],
    },
    status: { phase: 'Running', podIP: '10.244.1.5', podIPs: [{ ip: '10.244.1.5' }, { ip: 'FD00:10:244:1::5' }] },
  })
  const one = parsePod(raw('web-1'))
  t.same(one, {
    row: {
      ...{ namespace: 'shop', name: 'web-1', node: 'n1', ips: ['10.244.1.5', 'fd00:10:244:1::5'], hostNetwork: false },
      labels: new Map(Object.entries(labels)),
      ports: [
        { name: 'http', protocol: 'tcp', port: 8080 },
        { name: 'dns', protocol: 'udp', port: 53 },
        { name: 'mesh', protocol: 'tcp', port: 15_000 },
      ],
      ...{ finished: false, deleting: false },
    },
    rejections: [],
  })
  t.equal(parsePod(raw('web-2')).row?.labels, one.row?.labels, 'replicas share their labels')
  t.match(parsePod({ metadata: { name: 'new' } }), { row: { node: null, ips: [], finished: false }, rejections: [] })
  t.match(parsePod({ metadata: { name: 'done' }, status: { phase: 'Succeeded', podIP: '10.0.0.1' } }).row, {
    ...{ finished: true, ips: ['10.0.0.1'] },
  })
  const twice = [
    {
      ports: [
        { name: 'a', containerPort: 1 },
        { name: 'a', containerPort: 2 },
      ],
    },
  ]
  t.match(parsePod({ metadata: { name: 'x' }, spec: { containers: twice } }), {
    row: { ports: [{ name: 'a', port: 1 }] },
    rejections: [{ field: 'spec.containers[0].ports[1].name', problem: /which port 1 has already/ }],
  })
})

t.test('label sets that look alike are told apart', async (t) => {
  const of = (labels: object) => parseNamespace({ metadata: { name: 'a', labels } }).row?.labels
  t.same(of({ a: 'b\u0000c\u0000d' }), new Map([['a', 'b\u0000c\u0000d']]))
  t.same(of({ a: 'b', c: 'd' }), new Map(Object.entries({ a: 'b', c: 'd' })))
})

t.test('ServiceImport', async (t) => {
  const of = (spec: object) => parseServiceImport({ metadata: { namespace: 'shop', name: 'web' }, spec })
  const ports = [{ name: 'http', port: 80, protocol: 'TCP' }]
  t.same(of({ type: 'ClusterSetIP', ips: ['10.97.0.1', 'FD00::1', '10.97.0.1'], ports }), {
    row: {
      ...{ namespace: 'shop', name: 'web', headless: false, ips: ['10.97.0.1', 'fd00::1'] },
      ports: [{ name: 'http', protocol: 'tcp', port: 80 }],
    },
    rejections: [],
  })
  t.match(of({ type: 'Headless', ips: ['10.97.0.1'] }), { row: { headless: true, ips: [] }, rejections: [] })
  t.match(of({ type: 'Other', ips: ['nonsense', '127.0.0.1'], ports: [{ port: 0 }] }), {
    row: { headless: false, ips: [], ports: [] },
    rejections: [
      { object: 'ServiceImport shop/web', field: 'spec.type' },
      { field: 'spec.ips[0]' },
      { field: 'spec.ips[1]' },
      { field: 'spec.ports[0].port' },
    ],
  })
  t.equal(parseServiceImport({ metadata: {} }).row, null)
})

import t, { type Test } from 'tap'
import { parseService } from '../../src/cluster/service.ts'

const metadata = { namespace: 'shop', name: 'web' }
const ports = [{ port: 80 }]
const service = (spec: object, more: object = {}) => ({ apiVersion: 'v1', kind: 'Service', metadata, spec, ...more })
const parse = (spec: object, more: object = {}) => parseService(service({ ports, ...spec }, more))

/** The one rejection of a parse, as FIELD: PROBLEM. */
const only = (t: Test, { rejections }: ReturnType<typeof parseService>) => {
  t.equal(rejections.length, 1, JSON.stringify(rejections))
  t.not(rejections[0]?.remedy, '', 'says what to do')
  return `${rejections[0]?.field}: ${rejections[0]?.problem}`
}

t.test('absent fields get the defaults of an API server', async (t) => {
  t.same(parse({}), {
    row: {
      ...{
        namespace: 'shop',
        name: 'web',
        created: 0,
        type: 'ClusterIP',
        clusterIPs: [],
        headless: false,
        externalIPs: [],
      },
      ...{ loadBalancerIPs: [], sourceRanges: null, ports: [{ name: '', protocol: 'tcp', port: 80, nodePort: 0 }] },
      ...{ affinitySeconds: 0, internalTrafficPolicy: 'Cluster', externalTrafficPolicy: 'Cluster' },
      ...{ healthCheckNodePort: 0, publishNotReady: false, proxyName: null },
      ...{ externalName: null, dns: false },
    },
    rejections: [],
  })
  t.equal(parse({ sessionAffinity: 'ClientIP' }).row?.affinitySeconds, 10_800)
  t.equal(parseService({ ...service({}), metadata: { name: 'web' } }).row?.namespace, 'default')
})

t.test('everything that is given is read', async (t) => {
  const spec = {
    ...{ type: 'LoadBalancer', clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7', 'FD00:10:96::7'] },
    ...{ externalIPs: ['192.0.2.1'], loadBalancerSourceRanges: [' 10.0.0.0/8 ', 'fd00::/8'] },
    ...{ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } },
    ...{ internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Local', healthCheckNodePort: 31_000 },
    publishNotReadyAddresses: true,
    ports: [
      { name: 'dns', protocol: 'UDP', port: 53, nodePort: 30_053, targetPort: 'dns' },
      { name: 'dns', protocol: 'TCP', port: 53, nodePort: 30_053 },
      { name: 'sigtran', protocol: 'SCTP', port: 2905 },
    ],
  }
  const status = {
    loadBalancer: { ingress: [{ ip: '198.51.100.1' }, { ip: '198.51.100.2', ipMode: 'Proxy' }, { hostname: 'x' }] },
  }
  const labels = { 'service.kubernetes.io/service-proxy-name': 'other' }
  const creationTimestamp = '2026-01-31T12:00:00Z'
  t.same(parseService(service(spec, { status, metadata: { ...metadata, labels, creationTimestamp } })), {
    row: {
      ...{ namespace: 'shop', name: 'web', created: Date.UTC(2026, 0, 31, 12), type: 'LoadBalancer' },
      ...{ clusterIPs: ['10.96.0.7', 'fd00:10:96::7'], headless: false, externalIPs: ['192.0.2.1'] },
      ...{ loadBalancerIPs: ['198.51.100.1'], sourceRanges: ['10.0.0.0/8', 'fd00::/8'] },
      ports: [
        { name: 'dns', protocol: 'udp', port: 53, nodePort: 30_053 },
        { name: 'dns', protocol: 'tcp', port: 53, nodePort: 30_053 },
        { name: 'sigtran', protocol: 'sctp', port: 2905, nodePort: 0 },
      ],
      ...{ affinitySeconds: 60, internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Local' },
      ...{ healthCheckNodePort: 31_000, publishNotReady: true, proxyName: 'other', externalName: null, dns: false },
    },
    rejections: [],
  })
})

t.test('types and addresses', async (t) => {
  for (const spec of [{ clusterIP: 'None' }, { clusterIPs: ['None'] }]) {
    t.match(parse(spec), { row: { headless: true, clusterIPs: [] }, rejections: [] })
  }
  const labels = { 'service.kubernetes.io/headless': '' }
  const labelled = parse({ clusterIP: '10.96.0.1' }, { metadata: { ...metadata, labels } })
  t.match(labelled, { row: { headless: true, clusterIPs: [] } })
  t.match(parse({ clusterIP: '' }), { row: { headless: false, clusterIPs: [] }, rejections: [] }, 'not allocated yet')
  t.match(parse({ type: 'ExternalName', externalName: 'x.example' }), {
    row: { ports: [], clusterIPs: [], externalName: 'x.example' },
    rejections: [],
  })
  t.match(parse({ type: 'NodePort' }, { status: { loadBalancer: { ingress: [{ ip: '192.0.2.9' }] } } }).row, {
    loadBalancerIPs: [],
  })
  t.match(
    parse({ type: 'LoadBalancer', healthCheckNodePort: 31_000 }).row,
    { healthCheckNodePort: 0 },
    'only with Local',
  )
})

t.test('what is wrong is said and left out, the rest stays', async (t) => {
  const two = parse({ clusterIPs: ['010.0.0.1', 'fd00::1'] })
  t.equal(only(t, two), 'spec.clusterIPs[0]: is "010.0.0.1", not an IP address; left out')
  t.match(two.row, { clusterIPs: ['fd00::1'] })
  t.match(only(t, parse({ clusterIP: '127.1' })), 'spec.clusterIP[0]: is "127.1"')
  t.match(only(t, parse({ clusterIPs: ['10.0.0.1', '10.0.0.2'] })), '"10.0.0.2", a second address of its family')
  t.match(
    only(t, parse({ externalIPs: ['127.0.0.1', '192.0.2.1'] })),
    'spec.externalIPs[0]: is 127.0.0.1, which is loopback',
  )
  t.match(only(t, parse({ type: 'Nodeport' })), 'spec.type: is "Nodeport"; taken as ClusterIP')
  t.match(
    only(t, parse({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } } })),
    'timeoutSeconds: is 0',
  )
  t.match(
    only(t, parse({ externalTrafficPolicy: 'local' })),
    'spec.externalTrafficPolicy: is "local"; taken as Cluster',
  )
  t.match(
    only(t, parse({}, { metadata: { ...metadata, creationTimestamp: 'today' } })),
    'creationTimestamp: is "today"',
  )
  t.match(only(t, parse({ publishNotReadyAddresses: 'true' })), 'is "true"; taken as false')
  t.match(only(t, parse({ externalIPs: '192.0.2.1' })), 'spec.externalIPs: is "192.0.2.1", not a list')
})

t.test('ports', async (t) => {
  const of = (...list: unknown[]) => parse({ ports: list, type: 'NodePort' })
  const good = { port: 80 }
  const bad: Record<string, unknown> = {
    'ports[1].protocol: is "ICMP"': { name: 'a', port: 1, protocol: 'ICMP' },
    'ports[1].protocol: is "tcp"': { name: 'a', port: 1, protocol: 'tcp' },
    'ports[1].port: is missing': { name: 'a' },
    'ports[1].port: is 0,': { name: 'a', port: 0 },
    'ports[1].port: is 65536,': { name: 'a', port: 65_536 },
    'ports[1].port: is 8.5,': { name: 'a', port: 8.5 },
    'ports[1].port: is "80",': { name: 'a', port: '80' },
    'ports[1].name: is 7,': { name: 7, port: 1 },
    'ports[1]: is a second tcp port 80, after spec.ports[0]': { name: 'a', port: 80 },
    'ports[1]: is a second tcp name "", after spec.ports[0]': { port: 81 },
    'ports[1].port: is missing;': { name: 'x' },
  }
  for (const [problem, port] of Object.entries(bad)) {
    const parsed = of(good, port)
    t.match(only(t, parsed), problem)
    t.equal(parsed.row?.ports.length, 1, 'the other port is there')
  }
  t.match(only(t, of(good, { name: 'a', port: 1, nodePort: 70_000 })), 'ports[1].nodePort: is 70000')
  const twice = of({ name: 'a', port: 1, nodePort: 30_000 }, { name: 'b', port: 2, nodePort: 30_000 })
  t.match(only(t, twice), 'ports[1].nodePort: is 30000, which spec.ports[0] has already')
  t.same(
    twice.row?.ports.map((it) => it.nodePort),
    [30_000, 0],
    'only the node port is lost',
  )
  t.match(only(t, parse({ ports: [{ port: 80, nodePort: 30_000 }] })), 'has no node ports')
})

t.test('a Service with 10,000 ports', async (t) => {
  const many = Array.from({ length: 10_000 }, (_, i) => ({ name: `p${i}`, port: i + 1 }))
  const parsed = parse({ ports: many })
  t.equal(only(t, parsed), 'spec.ports: has 10000 items; only the first 1000 are used')
  t.equal(parsed.row?.ports.length, 1000)
})

t.test('a thousand bad things are one bounded report', async (t) => {
  const { row, rejections } = parse({ externalIPs: Array.from({ length: 1000 }, () => 'x') })
  t.ok(row)
  t.equal(rejections.length, 51)
  t.match(rejections.at(-1)?.problem, '950 more problems')
})

t.test('source ranges fail closed', async (t) => {
  const of = (loadBalancerSourceRanges: unknown) => parse({ type: 'LoadBalancer', loadBalancerSourceRanges })
  t.match(of(undefined), { row: { sourceRanges: null }, rejections: [] })
  t.match(of([]), { row: { sourceRanges: null }, rejections: [] })
  t.same(of(['10.0.0.0/33']).row?.sourceRanges, [], 'all invalid: nobody')
  t.match(only(t, of(['192.0.2.1', '10.0.0.0/8'])), '[0]: is "192.0.2.1", not a CIDR range; lets nobody in')
  t.same(of('0.0.0.0/0').row?.sourceRanges, [], 'not a list: nobody')
  const untidy = of(['10.1.2.3/8'])
  t.equal(only(t, untidy), 'spec.loadBalancerSourceRanges[0]: is "10.1.2.3/8"; taken as 10.0.0.0/8')
  t.same(untidy.row?.sourceRanges, ['10.0.0.0/8'])
  const overlapping = of(['10.1.0.0/16', '10.0.0.0/8'])
  t.match(only(t, overlapping), 'has 10.1.0.0/16, which 10.0.0.0/8 covers already')
  t.same(overlapping.row?.sourceRanges, ['10.0.0.0/8'])
})

t.test('names', async (t) => {
  for (const name of ['a'.repeat(5000), '', 7, undefined, 'Upper', 'a b', 'a/b', '-a', 'a\u0000']) {
    const parsed = parseService({ metadata: { name, namespace: 'shop' }, spec: {} })
    t.equal(parsed.row, null)
    t.match(only(t, parsed), 'metadata.name: ')
    t.ok(JSON.stringify(parsed.rejections).length < 500, 'cut')
  }
  t.match(only(t, parseService({ metadata: { name: 'a', namespace: 'n'.repeat(64) } })), 'metadata.namespace: has 64')
  for (const raw of [undefined, null, 7, 'x', []]) t.match(only(t, parseService(raw)), ', not an object')
  t.match(only(t, parseService({})), 'metadata.name: is nothing')
})

t.test('names that a CNAME can point to', async (t) => {
  const of = (externalName: unknown) => parse({ type: 'ExternalName', externalName })
  t.match(of('My_DB.Example.org.'), { row: { externalName: 'my_db.example.org' }, rejections: [] })
  for (const wrong of ['10.0.0.1', 'fd00::1', '', '.', 'a b', '-a', 'x'.repeat(64), `${'a.'.repeat(127)}a`, 7]) {
    const parsed = of(wrong)
    t.match(only(t, parsed), 'spec.externalName: is ', String(wrong))
    t.equal(parsed.row?.externalName, null)
  }
  t.match(only(t, of(undefined)), 'spec.externalName: is missing')
  const ports = [
    { name: 'web', port: 80, targetPort: 8080 },
    { name: 'tls', port: 443, targetPort: 443 },
    { name: 'named', port: 5432, targetPort: 'db' },
  ]
  const named = parse({ type: 'ExternalName', externalName: 'x.example', ports }).row!.ports
  t.same(
    named.map(({ name, port, targetPort }) => [name, port, targetPort]),
    [
      ['web', 80, 8080],
      ['tls', 443, undefined],
      ['named', 5432, undefined],
    ],
  )
  t.equal(parse({ ports }).row!.ports[0]!.targetPort, undefined, 'pods have theirs in EndpointSlices')
  t.equal(parse({ externalName: 'x.example' }).row?.externalName, null, 'of another type')
})

t.test('the cluster DNS', async (t) => {
  const labels = { 'k8s-app': 'kube-dns' }
  t.equal(parse({}, { metadata: { ...metadata, labels } }).row?.dns, true)
  t.equal(parse({}, { metadata: { ...metadata, labels: { 'k8s-app': 'other' } } }).row?.dns, false)
})

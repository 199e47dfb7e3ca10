/** Services as the API server makes them: defaults, addresses and ports, and what it refuses and how it says so. */
import t from 'tap'
import { createStore } from '../../src/lab/api/create.ts'
import type { Fields } from '../../src/lab/api/object.ts'
import type { Store } from '../../src/lab/api/store.ts'
import { createControlPlane } from '../../src/lab/controllers/plane.ts'
import { at, must, read, service, why } from './lab-objects.ts'

const make = (store: Store, name: string, spec: Fields = {}): Fields => must(store.create(service(name, spec)))['spec']
const refuse = (spec: Fields, name = 'bad'): string => why(createStore().create(service(name, spec)))

t.test('defaults', async (t) => {
  const store = createStore()
  t.match(make(store, 'a'), {
    type: 'ClusterIP',
    sessionAffinity: 'None',
    internalTrafficPolicy: 'Cluster',
    ipFamilies: ['IPv4'],
    ipFamilyPolicy: 'SingleStack',
    ports: [{ protocol: 'TCP', port: 80, targetPort: 'http' }],
  })
  t.match(make(store, 'b', { ports: [{ port: 53 }], sessionAffinity: 'ClientIP' }), {
    ports: [{ targetPort: 53 }],
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 10800 } },
  })
  t.match(make(store, 'c', { type: 'LoadBalancer' }), {
    externalTrafficPolicy: 'Cluster',
    allocateLoadBalancerNodePorts: true,
  })
  t.match(make(store, 'd', { externalIPs: ['192.0.2.1'] }), { externalTrafficPolicy: 'Cluster' })
  t.equal(make(store, 'e', { type: 'ExternalName', externalName: 'example.com', ports: [] })['clusterIP'], undefined)
})

t.test('addresses: families, headless, a wish, the same again after a restart', async (t) => {
  const store = createStore()
  const dual = make(store, 'dual', { ipFamilyPolicy: 'PreferDualStack' })
  t.match(dual['clusterIPs'][0], /^10\.96\./)
  t.match(dual['clusterIPs'][1], /^fd00:10:96::/)
  t.equal(dual['clusterIP'], dual['clusterIPs'][0])
  const six = make(store, 'six', { ipFamilies: ['IPv6'] })
  t.same([six['clusterIPs'].length, six['ipFamilyPolicy']], [1, 'SingleStack'])
  t.match(six['clusterIP'], /^fd00/)
  const both = make(store, 'both', { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv6', 'IPv4'] })
  t.match(both['clusterIP'], /^fd00/)
  t.match(make(store, 'none', { clusterIP: 'None' }), { clusterIPs: ['None'], ipFamilyPolicy: 'SingleStack' })
  const open = make(store, 'open', { clusterIP: 'None', selector: {} })
  t.same(open['ipFamilies'], ['IPv4', 'IPv6'], 'headless without a selector serves both')
  t.equal(make(store, 'wish', { clusterIP: '10.96.0.10' })['clusterIP'], '10.96.0.10')
  t.equal(make(createStore(), 'dual', { ipFamilyPolicy: 'PreferDualStack' })['clusterIP'], dual['clusterIP'])
  const only = createStore({ ranges: { clusterCIDRs: ['10.96.0.0/16'] } })
  t.same(make(only, 'a', { ipFamilyPolicy: 'PreferDualStack' })['ipFamilies'], ['IPv4'])
  t.match(
    why(only.create(service('b', { ipFamilyPolicy: 'RequireDualStack' }))),
    /one family only; use PreferDualStack/,
  )
})

t.test('node ports: given, shared by TCP and UDP of one port, not given when not wanted', async (t) => {
  const store = createStore()
  const dns = [
    { name: 'a', port: 53, protocol: 'TCP' },
    { name: 'b', port: 53, protocol: 'UDP' },
  ]
  const [a, b] = make(store, 'dns', { type: 'NodePort', ports: dns })['ports']
  t.equal(a.nodePort, b.nodePort)
  t.ok(a.nodePort >= 30000 && a.nodePort <= 32767)
  t.equal(
    make(store, 'lb', { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false })['ports'][0].nodePort,
    undefined,
  )
  const local = make(store, 'local', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' })
  t.ok(local['healthCheckNodePort'] >= 30000)
  t.not(local['healthCheckNodePort'], local['ports'][0].nodePort)
})

t.test('what is refused, and how it is said', async (t) => {
  const store = createStore()
  make(store, 'first', { type: 'NodePort', clusterIP: '10.96.0.7', ports: [{ port: 80, nodePort: 30080 }] })
  const taken = service('second', { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] })
  t.equal(
    why(store.create(taken)),
    'Service default/second is invalid: spec.ports[0].nodePort: 30080 is taken by Service default/first; use another or leave it out',
  )
  t.match(
    why(store.create(service('third', { clusterIP: '10.96.0.7' }))),
    /10\.96\.0\.7 is taken by Service default\/first/,
  )
  const cases: [Fields, RegExp][] = [
    [{ clusterIP: '10.97.0.1' }, /clusterIPs\[0\]: 10\.97\.0\.1 is out of range; use an address of 10\.96\.0\.0\/16/],
    [{ clusterIP: '010.96.0.1' }, /010\.96\.0\.1 is not an IP address/],
    [{ type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] }, /nodePort: 80 is out of range; use one of 30000-32767/],
    [{ ports: [{ port: 80, nodePort: 30001 }] }, /nodePort: is given with type ClusterIP/],
    [{ ports: [] }, /spec\.ports: is empty/],
    [{ ports: [{ port: 80 }, { port: 81 }] }, /ports\[0\]\.name: is missing; name each port/],
    [
      {
        ports: [
          { name: 'a', port: 80 },
          { name: 'a', port: 81 },
        ],
      },
      /ports\[1\]\.name: a is that of ports\[0\] too/,
    ],
    [
      {
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 80 },
        ],
      },
      /ports\[1\]\.port: 80\/TCP is that of ports\[0\] too/,
    ],
    [{ ports: [{ port: 80, protocol: 'ICMP' }] }, /protocol: ICMP is not possible; use one of TCP, UDP, SCTP/],
    [{ ports: [{ port: 80, targetPort: 'UPPER_case' }] }, /targetPort: UPPER_case is not a port name/],
    [{ ports: [{ port: '80' }] }, /ports\[0\]\.port: 80 is not a number/],
    [{ ports: { port: 80 } }, /spec\.ports: .* is not a list/],
    [{ selector: { app: 5 } }, /spec\.selector: .* is not a map of strings \(put numbers/],
    [{ externalIPs: ['127.0.0.1'] }, /externalIPs\[0\]: 127\.0\.0\.1 is loopback/],
    [{ externalIPs: ['127.1'] }, /externalIPs\[0\]: 127\.1 is not an IP address/],
    [
      { type: 'LoadBalancer', loadBalancerSourceRanges: ['10.0.0.0'] },
      /loadBalancerSourceRanges\[0\]: 10\.0\.0\.0 is not a CIDR/,
    ],
    [{ externalTrafficPolicy: 'Local' }, /externalTrafficPolicy: is given for a Service that nothing outside reaches/],
    [{ internalTrafficPolicy: 'local' }, /internalTrafficPolicy: local is not possible/],
    [{ trafficDistribution: 'Near' }, /trafficDistribution: Near is not possible/],
    [
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 90000 } } },
      /timeoutSeconds: 90000/,
    ],
    [{ ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv4', 'IPv6'] }, /SingleStack contradicts two families/],
    [{ type: 'ExternalName' }, /externalName/],
    [
      { type: 'ExternalName', externalName: 'x.io', clusterIP: '10.96.0.3' },
      /clusterIP: is given with type ExternalName/,
    ],
  ]
  for (const [spec, message] of cases) t.match(refuse(spec), message, JSON.stringify(spec).slice(0, 80))
  t.match(refuse({}, 'x'.repeat(5000)), /metadata\.name: x{77}\.\.\. is not a DNS label/)
  const many = Array.from({ length: 10_000 }, (_, i) => ({ name: `p${i}`, port: i + 1 }))
  t.equal(refuse({ ports: many }), '', '10,000 ports are legal here: who reads them bounds them')
})

t.test('updates keep what was given, and let go what the type no longer has', async (t) => {
  const store = createStore()
  const first = make(store, 'web', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' })
  must(store.update(service('web', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' })))
  t.same(read(store, 'services', 'web')['spec'], first, 'what was left out stays')
  t.match(why(store.update(service('web', { clusterIP: '10.96.9.9' }))), /clusterIP: 10\.96\.9\.9 would replace/)
  must(store.modify(at('services', 'web'), (s) => void (s['spec'].type = 'ClusterIP')))
  const plain = read(store, 'services', 'web')['spec']
  t.equal(plain.clusterIP, first['clusterIP'])
  t.same(plain.ports, [{ port: 80, targetPort: 'http', protocol: 'TCP' }])
  for (const field of ['externalTrafficPolicy', 'healthCheckNodePort', 'allocateLoadBalancerNodePorts'])
    t.notOk(field in plain, field)
  must(store.modify(at('services', 'web'), (s) => void (s['spec'].ipFamilyPolicy = 'PreferDualStack')))
  t.equal(read(store, 'services', 'web')['spec'].clusterIPs.length, 2)
  must(store.modify(at('services', 'web'), (s) => void (s['spec'].ipFamilyPolicy = 'SingleStack')))
  t.same(read(store, 'services', 'web')['spec'].clusterIPs, [first['clusterIP']])
  must(
    store.modify(at('services', 'web'), (s) =>
      Object.assign(s['spec'], { type: 'ExternalName', externalName: 'x.io' }),
    ),
  )
  t.notOk('clusterIP' in read(store, 'services', 'web')['spec'])
  t.equal(make(store, 'other', { clusterIP: first['clusterIP'] })['clusterIP'], first['clusterIP'], 'it is free again')
})

t.test('load balancer addresses: from the pool, kept, let go, waited for', async (t) => {
  const { store, runner } = createControlPlane({ loadBalancerPools: ['172.30.0.192/30', 'fd00:172:30::c0/126'] })
  const ips = (name: string): string[] =>
    (read(store, 'services', name)['status'].loadBalancer.ingress ?? []).map(({ ip }: Fields) => ip)
  make(store, 'a', { type: 'LoadBalancer', ipFamilyPolicy: 'PreferDualStack' })
  make(store, 'b', { type: 'LoadBalancer', loadBalancerIP: '172.30.0.194' })
  make(store, 'c', { type: 'LoadBalancer' })
  make(store, 'e', { type: 'LoadBalancer', loadBalancerIP: '172.30.0.194' })
  make(store, 'd', { type: 'LoadBalancer', loadBalancerClass: 'example.com/other' })
  runner.settle()
  t.same(ips('a'), ['172.30.0.193', 'fd00:172:30::c1'])
  t.same(ips('b'), ['172.30.0.194'])
  t.same(ips('c'), [], 'the pool is empty')
  t.same(ips('d'), [], 'somebody else gives it one')
  t.same(ips('e'), [], 'two cannot have the same')
  const said = store.list('events').map(({ message }) => message as string)
  t.ok(said.some((message) => message.includes("the address 172.30.0.194 is another Service's")))
  t.ok(said.some((message) => /no address of 172\.30\.0\.192\/30 is free/.test(message)))
  must(store.modify(at('services', 'a'), (s) => void (s['spec'].type = 'ClusterIP')))
  runner.settle()
  t.same(ips('a'), [])
  t.same(ips('c'), ['172.30.0.193'], 'who waited has it')
  runner.stop()
  const wide = createControlPlane()
  for (const name of ['a', 'b', 'c']) make(wide.store, name, { type: 'LoadBalancer' })
  wide.runner.settle()
  const given = wide.store.list('services').map(({ status }) => status.loadBalancer.ingress[0].ip)
  t.same(given, ['172.30.0.193', '172.30.0.194', '172.30.0.195'])
  for (const [name, loadBalancerIP] of Object.entries({ wrong: '127.1', far: '192.0.2.1' }))
    make(wide.store, name, { type: 'LoadBalancer', loadBalancerIP })
  wide.runner.settle()
  const told = wide.store.list('events').map(({ message }) => message as string)
  for (const asked of ['127.1', '192.0.2.1'])
    t.ok(
      told.some((message) => message.startsWith(`spec.loadBalancerIP ${asked} is no address of 172.30.0.192/26`)),
      asked,
    )
  wide.runner.stop()
})

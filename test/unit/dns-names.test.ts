/** Kubernetes DNS specification 1.1.0 as cases on rows, each section of it, and CoreDNS's defects done right. */
import t from 'tap'
import {
  endpoint,
  externalName,
  imported,
  named,
  namespace,
  ofPod,
  pod,
  service,
  serviceImport,
  slice,
  unready,
} from '../contract/dns-objects.ts'
import { NameRoom, ZONES } from '../contract/dns-room.ts'
import type { NameOptions } from '../../src/dns/options.ts'
import type { Raw } from '../contract/service-objects.ts'

const room = (objects: readonly Raw[], options: Partial<NameOptions> = {}) =>
  new NameRoom(options, [namespace('ns'), ...objects])

/** Its methods without it. */
const bound = (r: NameRoom) => ({
  ask: (name: string, type?: string) => r.ask(name, type),
  additional: (name: string, type: string) => r.additional(name, type),
})

const WEB = 'web.ns.svc.cluster.local.'
const MULTI = { zones: [...ZONES, 'clusterset.local.'], multicluster: ['clusterset.local.'] }
const DNS = service('kube-system/kube-dns', ['10.96.0.10'], {}, { 'k8s-app': 'kube-dns' })

t.test('2.2 schema version', async (t) => {
  const { ask } = bound(room([]))
  t.same(ask('dns-version.cluster.local.', 'TXT'), ['TXT ["1.1.0"] ttl 28800'])
  t.same(ask('dns-version.cluster.local.', 'A'), [])
  t.same(ask('DNS-Version.Cluster.LOCAL.', 'TXT'), ['TXT ["1.1.0"] ttl 28800'], 'in any case')
  t.equal(ask('dns-version.in-addr.arpa.', 'TXT'), 'NXDOMAIN')
})

t.test('2.3 a Service with a ClusterIP', async (t) => {
  const { ask, additional } = bound(room([service('ns/web', ['10.96.0.1'])]))
  t.same(ask(WEB), ['A 10.96.0.1'], 'without endpoints, too')
  t.same(ask('WEB.NS.svc.CLUSTER.local.'), ['A 10.96.0.1'])
  t.same(ask(WEB, 'AAAA'), [], 'IPv4 only: NODATA')
  t.same(ask(`_http._tcp.${WEB}`, 'SRV'), [`SRV 0 100 80 ${WEB}`])
  t.same(additional(`_http._tcp.${WEB}`, 'SRV'), [`${WEB} A 10.96.0.1`])
  t.same(ask(WEB, 'SRV'), [`SRV 0 100 80 ${WEB}`], 'all ports')
  t.same(ask('1.0.96.10.in-addr.arpa.', 'PTR'), [`PTR ${WEB}`])
  for (const name of ['_ftp._tcp.', '_http._udp.', 'x.', 'a.b.c.', '_http._tcp.x.'])
    t.equal(ask(name + WEB, 'SRV'), 'NXDOMAIN', name)
  t.equal(ask('other.ns.svc.cluster.local.'), 'NXDOMAIN')
  t.equal(ask('web.other.svc.cluster.local.'), 'NXDOMAIN')
  t.equal(ask('2.0.96.10.in-addr.arpa.', 'PTR'), 'NXDOMAIN')
})

t.test('2.3 both families', async (t) => {
  const { ask } = bound(room([service('ns/web', ['10.96.0.1', 'fd00:10:96::1'])]))
  t.same(ask(WEB), ['A 10.96.0.1'])
  t.same(ask(WEB, 'AAAA'), ['AAAA fd00:10:96::1'])
  t.same(ask(WEB, 'SRV'), [`SRV 0 50 80 ${WEB}`], 'once; CoreDNS weighs each address')
  const nibbles = '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa.'
  t.same(ask(nibbles, 'PTR'), [`PTR ${WEB}`])
  t.same(ask('1.0.96.10.in-addr.arpa.', 'PTR'), [`PTR ${WEB}`])
})

t.test('2.3 ports', async (t) => {
  const ports = [
    { name: 'http', port: 80, protocol: 'TCP' },
    { name: 'dns', port: 53, protocol: 'UDP' },
    { name: 'dns-tcp', port: 53, protocol: 'TCP' },
    { name: 'assoc', port: 9, protocol: 'SCTP' },
  ]
  const { ask } = bound(room([service('ns/web', ['10.96.0.1'], { ports })]))
  t.same(ask(`_dns._udp.${WEB}`, 'SRV'), [`SRV 0 100 53 ${WEB}`])
  t.same(ask(`_assoc._sctp.${WEB}`, 'SRV'), [`SRV 0 100 9 ${WEB}`])
  t.equal(ask(`_dns._tcp.${WEB}`, 'SRV'), 'NXDOMAIN')
  t.same(
    ask(WEB, 'SRV'),
    [9, 53, 80].map((port) => `SRV 0 25 ${port} ${WEB}`),
    'a port of two protocols is one answer',
  )
  const unnamed = bound(room([service('ns/web', ['10.96.0.1'], { ports: [{ port: 80 }] })]))
  t.same(unnamed.ask(WEB, 'SRV'), [`SRV 0 100 80 ${WEB}`])
  t.equal(unnamed.ask(`_._tcp.${WEB}`, 'SRV'), 'NXDOMAIN', 'unnamed ports have no SRV name')
})

t.test('empty non-terminals exist (RFC 8020)', async (t) => {
  const { ask } = bound(room([service('ns/web', ['10.96.0.1', 'fd00:10:96::1'])]))
  for (const name of [`_tcp.${WEB}`, '0.96.10.in-addr.arpa.', '10.in-addr.arpa.', 'd.f.ip6.arpa.']) {
    t.same(ask(name, 'PTR'), [], name)
    t.same(ask(name, 'A'), [], name)
  }
  t.equal(ask(`_udp.${WEB}`), 'NXDOMAIN')
  t.equal(ask('11.in-addr.arpa.', 'PTR'), 'NXDOMAIN')
})

t.test('ignore empty_service', async (t) => {
  const options = { ignoreEmptyService: true }
  const web = service('ns/web', ['10.96.0.1'])
  const r = room([web, slice('ns/web-1', 'web', [unready('10.244.1.1')])], options)
  t.equal(r.ask(WEB), 'NXDOMAIN')
  t.equal(r.ask('1.0.96.10.in-addr.arpa.', 'PTR'), 'NXDOMAIN')
  t.same(r.put(slice('ns/web-1', 'web', [endpoint('10.244.1.1')])).ask(WEB), ['A 10.96.0.1'])
  t.same(room([web], { ...options, noEndpoints: true }).ask(WEB), ['A 10.96.0.1'], 'nothing is known of them')
  t.same(room([externalName('ns/web', 'example.org')], options).ask(WEB, 'CNAME'), ['CNAME example.org.'])
})

t.test('2.4 a headless Service: one address for each ready endpoint', async (t) => {
  const r = room([
    service('ns/web', 'None'),
    slice('ns/web-1', 'web', [
      endpoint('10.244.1.2'),
      unready('10.244.1.3'),
      endpoint('10.244.1.1', { conditions: { ready: true } }),
      endpoint('10.244.1.4', { conditions: { ready: null, terminating: true } }),
    ]),
  ])
  t.same(r.ask(WEB), ['A 10.244.1.1', 'A 10.244.1.2', 'A 10.244.1.4'], 'ready nil is ready')
  t.same(r.ask(WEB, 'AAAA'), [], 'the other family only: NODATA')
  const srv = ['1', '2', '4'].map((i) => `SRV 0 33 8080 10-244-1-${i}.${WEB}`)
  t.same(r.ask(`_http._tcp.${WEB}`, 'SRV'), srv)
  t.same(r.ask(WEB, 'SRV'), srv)
  t.same(r.additional(WEB, 'SRV')[0], `10-244-1-1.${WEB} A 10.244.1.1`)
  t.same(r.ask(`10-244-1-1.${WEB}`), ['A 10.244.1.1'])
  t.equal(r.ask(`10-244-1-3.${WEB}`), 'NXDOMAIN', 'not ready')
  t.equal(r.ask('3.1.244.10.in-addr.arpa.', 'PTR'), 'NXDOMAIN')
  t.same(r.ask('1.1.244.10.in-addr.arpa.', 'PTR'), [`PTR 10-244-1-1.${WEB}`])
  r.put(slice('ns/web-1', 'web', [unready('10.244.1.2')]))
  t.equal(r.ask(WEB), 'NXDOMAIN', 'no ready endpoint')
  t.equal(r.ask(WEB, 'SRV'), 'NXDOMAIN')
})

t.test('2.4 names of endpoints', async (t) => {
  const endpoints = [
    named('web-0', '10.244.1.1'),
    ofPod('web-abc', '10.244.1.2'),
    ofPod('x'.repeat(64), '10.244.1.3'),
    ofPod('a.b', '10.244.1.5'),
    endpoint('10.244.1.4', { hostname: 'h', targetRef: { kind: 'Pod', name: 'web-def' } }),
    named('web-0', '10.244.2.1'),
  ]
  const objects = [
    service('ns/web', 'None'),
    slice('ns/web-1', 'web', endpoints),
    slice('ns/web-2', 'web', [named('web-0', 'fd00::1'), endpoint('5678:abcd::1'), endpoint('fd00:1::')]),
  ]
  const plain = room(objects)
  t.same(plain.ask(`web-0.${WEB}`), ['A 10.244.1.1', 'A 10.244.2.1'], 'a hostname twice: both addresses')
  t.same(plain.ask(`web-0.${WEB}`, 'AAAA'), ['AAAA fd00::1'], 'and of another slice')
  t.same(plain.ask(`10-244-1-2.${WEB}`), ['A 10.244.1.2'])
  t.equal(plain.ask(`web-abc.${WEB}`), 'NXDOMAIN')
  t.equal(plain.ask(`10-244-1-1.${WEB}`), 'NXDOMAIN', 'who has a hostname is not called otherwise')
  t.same(plain.ask(`5678-abcd--1.${WEB}`, 'AAAA'), ['AAAA 5678:abcd::1'])
  t.same(plain.ask(`fd00-1--0.${WEB}`, 'AAAA'), ['AAAA fd00:1::'], 'a dash at the end gets a 0')
  t.same(plain.ask('1.1.244.10.in-addr.arpa.', 'PTR'), [`PTR web-0.${WEB}`])
  t.same(
    [...plain.ask(WEB, 'SRV')].filter((line) => line.endsWith(` web-0.${WEB}`)),
    [`SRV 0 11 8080 web-0.${WEB}`],
    'the same target once',
  )
  const pods = room(objects, { endpointPodNames: true })
  t.same(pods.ask(`web-abc.${WEB}`), ['A 10.244.1.2'])
  t.same(pods.ask(`h.${WEB}`), ['A 10.244.1.4'], 'hostname before pod name')
  t.same(pods.ask(`10-244-1-3.${WEB}`), ['A 10.244.1.3'], '64 characters are no label')
  t.same(pods.ask(`10-244-1-5.${WEB}`), ['A 10.244.1.5'], 'nor is a name with dots')
  t.same(pods.ask('2.1.244.10.in-addr.arpa.', 'PTR'), [`PTR web-abc.${WEB}`])
})

t.test('2.4 N x M SRV records', async (t) => {
  const ports = [
    { name: 'http', port: 8080, protocol: 'TCP' },
    { name: 'grpc', port: 9090, protocol: 'TCP' },
    { name: '', port: 7070, protocol: 'TCP' },
  ]
  const two = [named('a', '10.244.1.1'), named('b', '10.244.1.2')]
  const { ask } = bound(room([service('ns/web', 'None'), slice('ns/web-1', 'web', two, ports)]))
  t.same(ask(`_grpc._tcp.${WEB}`, 'SRV'), [`SRV 0 50 9090 a.${WEB}`, `SRV 0 50 9090 b.${WEB}`])
  t.same(
    ask(WEB, 'SRV'),
    [7070, 8080, 9090].flatMap((p) => ['a', 'b'].map((n) => `SRV 0 16 ${p} ${n}.${WEB}`)),
  )
  const many = Array.from({ length: 150 }, (_, i) => endpoint(`10.244.1.${i + 1}`))
  const crowd = room([service('ns/web', 'None'), slice('ns/web-1', 'web', many)])
  t.match(crowd.ask(`_http._tcp.${WEB}`, 'SRV')[0], /^SRV 0 1 8080 /, 'a weight is 1 at least')
  const portless = room([service('ns/web', 'None'), slice('ns/web-1', 'web', two, [])])
  t.same(portless.ask(WEB), ['A 10.244.1.1', 'A 10.244.1.2'], 'without ports it still has addresses')
  t.same(portless.ask(WEB, 'SRV'), [])
})

t.test('endpoints of a Service with a ClusterIP: as CoreDNS, or as the specification', async (t) => {
  const objects = [service('ns/web', ['10.96.0.1']), slice('ns/web-1', 'web', [endpoint('10.244.1.1')])]
  t.same(room(objects).ask(`10-244-1-1.${WEB}`), ['A 10.244.1.1'])
  const strict = room(objects, { endpointNames: 'headless' })
  t.equal(strict.ask(`10-244-1-1.${WEB}`), 'NXDOMAIN')
  t.same(strict.ask('1.1.244.10.in-addr.arpa.', 'PTR'), [`PTR 10-244-1-1.${WEB}`])
  t.same(strict.put(service('ns/web', 'None')).ask(`10-244-1-1.${WEB}`), ['A 10.244.1.1'])
})

t.test('PTR: the ClusterIP wins, else one for each Service that selects the endpoint', async (t) => {
  const a = slice('ns/a-1', 'a', [endpoint('10.244.1.1')])
  const b = slice('ns/b-1', 'b', [named('h', '10.244.1.1')])
  const r = room([service('ns/a', ['10.96.0.1']), service('ns/b', 'None'), a, b])
  const reverse = '1.1.244.10.in-addr.arpa.'
  const both = ['PTR 10-244-1-1.a.ns.svc.cluster.local.', 'PTR h.b.ns.svc.cluster.local.']
  t.same(r.ask(reverse, 'PTR'), both)
  t.equal(r.rows().get(`k0 ${reverse}`)?.object, 'Service ns/a, Service ns/b')
  r.put(service('ns/c', ['10.244.1.1']))
  t.same(r.ask(reverse, 'PTR'), ['PTR c.ns.svc.cluster.local.'])
  t.same(r.drop(service('ns/c', [])).ask(reverse, 'PTR'), both)
  t.same(r.drop(a).ask(reverse, 'PTR'), both.slice(1))
  t.equal(r.drop(b).ask(reverse, 'PTR'), 'NXDOMAIN')
})

t.test('PTR only in zones that are configured', async (t) => {
  const objects = [
    service('ns/web', ['10.96.0.1', 'fd00:10:96::1']),
    slice('ns/web-1', 'web', [endpoint('10.244.1.1')]),
  ]
  const reversed = (...zones: string[]) =>
    [
      ...room(objects, { zones: ['cluster.local.', ...zones] })
        .rows()
        .keys(),
    ].filter((key) => key.endsWith('arpa.'))
  t.same(reversed('96.10.in-addr.arpa.'), ['k0 1.0.96.10.in-addr.arpa.', 'k0 96.10.in-addr.arpa.'])
  t.same(reversed('6.10.in-addr.arpa.'), ['k0 6.10.in-addr.arpa.'], 'a zone ends at a label')
  t.same(reversed(), [])
})

t.test('2.5 ExternalName', async (t) => {
  const ext = 'ext.ns.svc.cluster.local.'
  const { ask } = bound(room([externalName('ns/ext', 'WWW.Example.org.')]))
  t.same(ask(ext, 'CNAME'), ['CNAME www.example.org.'])
  t.same(ask(ext, 'A'), ['CNAME www.example.org.'])
  t.same(ask(ext, 'AAAA'), ['CNAME www.example.org.'])
  t.same(ask(ext, 'SRV'), [])
  for (const label of ['x', '_http._tcp', '10-0-0-1']) t.equal(ask(`${label}.${ext}`), 'NXDOMAIN', label)
  const inside = room([externalName('ns/ext', 'web.ns.svc.cluster.local'), service('ns/web', ['10.96.0.1'])])
  t.same(inside.ask(ext), [`CNAME ${WEB}`, `${WEB} A 10.96.0.1`], 'chased in the zone')
  t.same(inside.drop(service('ns/web', [])).ask(ext), [`CNAME ${WEB}`], 'a missing target keeps the CNAME')
  const backed = room([externalName('ns/ext', 'example.org'), slice('ns/e', 'ext', [endpoint('10.244.1.1')])])
  t.equal(backed.ask(`10-244-1-1.${ext}`), 'NXDOMAIN')
  t.equal(backed.ask('1.1.244.10.in-addr.arpa.', 'PTR'), 'NXDOMAIN')
  for (const target of ['10.0.0.1', '', undefined, 'a b', 'x'.repeat(64), 'a..b', 'fd00::1', `${'a.'.repeat(127)}a`]) {
    const wrong = room([externalName('ns/ext', target)])
    t.equal(wrong.ask(ext, 'CNAME'), 'NXDOMAIN', String(target))
    t.match(wrong.rejections(), [{ object: 'Service ns/ext', field: 'spec.externalName' }])
  }
})

t.test('2.6 pods', async (t) => {
  const verified = [
    pod('ns/a', ['10.240.0.1', 'fd00::1']),
    pod('ns/b', ['10.240.0.1']),
    pod('ns/done', ['10.240.0.2'], { phase: 'Succeeded' }),
    pod('ns/going', ['10.240.0.3'], {}, { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    pod('elsewhere/c', ['10.240.0.4']),
  ]
  const NS = 'ns.pod.cluster.local.'
  const disabled = room(verified)
  t.same(disabled.ask('pod.cluster.local.'), [])
  t.equal(disabled.ask(NS), 'NXDOMAIN')
  t.equal(disabled.ask(`10-240-0-1.${NS}`), 'NXDOMAIN')
  const insecure = room([], { pods: 'insecure' })
  t.same(insecure.ask(NS), [])
  t.same(insecure.ask(`10-240-0-9.${NS}`), ['A 10.240.0.9'])
  t.same(insecure.ask(`5678-abcd--1.${NS}`, 'AAAA'), ['AAAA 5678:abcd::1'])
  t.same(insecure.ask(`10-240-0-9.${NS}`, 'AAAA'), [])
  for (const label of ['x', '10-240-0', '10-240-0-256', 'a.10-240-0-9', '10-240-0-09'])
    t.equal(insecure.ask(`${label}.${NS}`), 'NXDOMAIN', label)
  t.equal(insecure.ask('10-240-0-9.nowhere.pod.cluster.local.'), 'NXDOMAIN')
  const r = room(verified, { pods: 'verified' })
  t.same(r.ask(NS), [])
  t.same(r.ask(`10-240-0-1.${NS}`), ['A 10.240.0.1'])
  t.equal(r.rows().get(`k0 10-240-0-1.${NS}`)?.object, 'Pod ns/a, Pod ns/b')
  t.same(r.ask(`fd00--1.${NS}`, 'AAAA'), ['AAAA fd00::1'], 'the second family, too')
  for (const i of [2, 3, 4, 9]) t.equal(r.ask(`10-240-0-${i}.${NS}`), 'NXDOMAIN', String(i))
  t.equal(r.ask('10-240-0-4.elsewhere.pod.cluster.local.'), 'NXDOMAIN', 'a namespace that is not there')
  t.same(r.drop(pod('ns/a', [])).ask(`10-240-0-1.${NS}`), ['A 10.240.0.1'])
  t.equal(r.drop(pod('ns/b', [])).ask(`10-240-0-1.${NS}`), 'NXDOMAIN')
})

t.test('who has which address', async (t) => {
  const client = (r: ReturnType<typeof room>, ip: string): unknown => {
    r.settle()
    const row = r.rows().get(`k0-clients ${ip.split('.').reverse().join('.')}.in-addr.arpa.`)
    return row === undefined ? 'nobody' : row.records.flatMap((record) => ('texts' in record ? record.texts : []))
  }
  const options = { pods: 'verified', clients: [] } as const
  const going = { deletionTimestamp: '2026-01-01T00:00:00Z' }
  const r = room(
    [pod('ns/a', ['10.240.0.1', 'fd00::1']), pod('ns/done', ['10.240.0.2'], { phase: 'Succeeded' })],
    options,
  )
  t.same(client(r, '10.240.0.1'), ['ns', 'a'])
  t.same(r.rows().get(`k0-clients 1.${'0.'.repeat(27)}0.0.d.f.ip6.arpa.`)?.records, [
    { type: 'TXT', texts: ['ns', 'a'] },
  ])
  t.equal(client(r, '10.240.0.2'), 'nobody', 'a pod that has finished has no address')
  t.same(client(r.put(pod('other/b', ['10.240.0.2'])), '10.240.0.2'), ['other', 'b'], 'and another has it now')
  r.put(pod('ns/a', ['10.240.0.1'], {}, going))
  t.same(client(r, '10.240.0.1'), ['ns', 'a'], 'a pod that is going asks on')
  t.same(client(r.put(pod('other/c', ['10.240.0.1'])), '10.240.0.1'), ['other', 'c'], 'until another has its address')
  t.same(client(r.put(pod('third/d', ['10.240.0.1'])), '10.240.0.1'), [], 'nobody can tell which of two it is')
  t.same(client(r.drop(pod('third/d', [])), '10.240.0.1'), ['other', 'c'])
  t.same(client(r.put(pod('other/e', ['10.240.0.1'])), '10.240.0.1'), ['other'], 'both are in one namespace')
  const labelled = room([pod('ns/a', ['10.240.0.1'], {}, { labels: { app: 'web', tier: 'x' } })], {
    ...{ pods: 'verified', clients: ['app', 'none'] },
  })
  t.same(client(labelled, '10.240.0.1'), ['ns', 'a', 'app=web'], 'labels that are asked for')
  t.equal(
    client(room([pod('ns/a', ['10.240.0.1'])], { pods: 'verified' }), '10.240.0.1'),
    'nobody',
    'nobody wants to know',
  )
})

t.test('namespaces exist, and svc and pod', async (t) => {
  const r = room([service('gone/web', ['10.96.0.2'])])
  for (const name of ['cluster.local.', 'svc.cluster.local.', 'pod.cluster.local.', 'ns.svc.cluster.local.'])
    for (const type of ['A', 'AAAA', 'SRV']) t.same(r.ask(name, type), [], `${name} ${type}`)
  t.equal(r.ask('gone.svc.cluster.local.'), 'NXDOMAIN')
  t.equal(r.ask('web.gone.svc.cluster.local.'), 'NXDOMAIN', 'a Service of a namespace that is not there')
  t.equal(r.ask('2.0.96.10.in-addr.arpa.', 'PTR'), 'NXDOMAIN')
  t.same(r.put(namespace('gone')).ask('web.gone.svc.cluster.local.'), ['A 10.96.0.2'])
})

t.test('which namespaces are shown', async (t) => {
  const objects = ['a', 'b'].flatMap((name, i) => [
    namespace(name, { tier: name }),
    service(`${name}/web`, [`10.96.0.${i + 1}`]),
    slice(`${name}/web`, 'web', [endpoint(`10.244.1.${i + 1}`)]),
    pod(`${name}/p`, [`10.244.1.${i + 1}`]),
  ])
  const selector = [{ key: 'tier', operator: 'In', values: ['a'] }] as const
  for (const options of [{ namespaces: ['a', 'c'] }, { namespaceLabels: selector }]) {
    const r = room(objects, { ...options, pods: 'verified' })
    const about = [...r.rows().values()].filter(({ object }) => object !== undefined)
    t.ok(about.length > 0)
    t.same([...new Set(about.map(({ object }) => object?.replace(/^\w+ /, '').replace(/\/.*/, '')))], ['a'])
    t.equal(r.ask('web.b.svc.cluster.local.'), 'NXDOMAIN')
    t.equal(r.ask('2.0.96.10.in-addr.arpa.', 'PTR'), 'NXDOMAIN')
    t.equal(r.ask('2.1.244.10.in-addr.arpa.', 'PTR'), 'NXDOMAIN')
  }
  const r = room(objects, { namespaceLabels: selector })
  t.same(r.put(namespace('b', { tier: 'a' })).ask('web.b.svc.cluster.local.'), ['A 10.96.0.2'])
})

t.test('the apex: NS is the cluster DNS itself, with glue', async (t) => {
  const system = [namespace('kube-system'), DNS]
  const target = 'kube-dns.kube-system.svc.cluster.local.'
  const r = room(system)
  t.same(r.ask('cluster.local.', 'NS'), [`NS ${target}`])
  t.same(r.additional('cluster.local.', 'NS'), [`${target} A 10.96.0.10`])
  t.same(r.ask('in-addr.arpa.', 'NS'), [`NS ${target}`], 'not kube-dns.kube-system.svc.in-addr.arpa')
  t.same(r.ask('ns.dns.cluster.local.'), ['A 10.96.0.10'], 'as the SOA record calls it')
  t.same(r.ask('dns.cluster.local.'), [])
  t.same(r.drop(DNS).ask('cluster.local.', 'NS'), [])
  t.equal(r.ask('ns.dns.cluster.local.'), 'NXDOMAIN')
  const given = room([...system, service('ns/resolver', ['10.96.0.53', 'fd00:10:96::53'])], {
    addresses: ['10.96.0.53', '169.254.20.10'],
  })
  t.same(given.ask('cluster.local.', 'NS'), ['NS resolver.ns.svc.cluster.local.'])
  t.same(given.ask('ns.dns.cluster.local.'), ['A 10.96.0.53', 'A 169.254.20.10'])
  t.same(given.ask('ns.dns.cluster.local.', 'AAAA'), ['AAAA fd00:10:96::53'])
  const hidden = room(system, { namespaces: ['ns'] })
  t.same(hidden.ask('cluster.local.', 'NS'), ['NS ns.dns.cluster.local.'], 'its Service has no name here')
  t.same(hidden.additional('cluster.local.', 'NS'), ['ns.dns.cluster.local. A 10.96.0.10'])
})

t.test('further zones: the same names, PTR into the first', async (t) => {
  const zones = ['example.org.', 'cluster.local.', 'in-addr.arpa.']
  const r = room([service('ns/web', ['10.96.0.1'])], { zones })
  for (const zone of zones.slice(0, 2)) {
    t.same(r.ask(`web.ns.svc.${zone}`), ['A 10.96.0.1'])
    t.same(r.ask(`web.ns.svc.${zone}`, 'SRV'), [`SRV 0 100 80 web.ns.svc.${zone}`])
  }
  t.same(r.ask('1.0.96.10.in-addr.arpa.', 'PTR'), ['PTR web.ns.svc.example.org.'])
  t.same(room([service('ns/web', ['10.96.0.1'])], { zones: ['.'] }).ask('web.ns.svc.'), ['A 10.96.0.1'], 'the root')
})

t.test('noendpoints', async (t) => {
  const objects = [
    service('ns/web', 'None'),
    service('ns/api', ['10.96.0.1']),
    slice('ns/w', 'web', [endpoint('10.244.1.1')]),
  ]
  const { ask } = bound(room([...objects, slice('ns/a', 'api', [endpoint('10.244.1.2')])], { noEndpoints: true }))
  t.equal(ask(WEB), 'NXDOMAIN')
  t.equal(ask('10-244-1-2.api.ns.svc.cluster.local.'), 'NXDOMAIN')
  t.equal(ask('2.1.244.10.in-addr.arpa.', 'PTR'), 'NXDOMAIN')
  t.same(ask('api.ns.svc.cluster.local.'), ['A 10.96.0.1'])
})

t.test('Services of other clusters', async (t) => {
  const SET = 'web.ns.svc.clusterset.local.'
  const objects = [
    serviceImport('ns/web', 'ClusterSetIP', ['10.97.0.1']),
    serviceImport('ns/db', 'Headless', []),
    slice('ns/w', imported('web', 'east'), [named('w', '10.1.0.1')]),
    slice('ns/d1', imported('db', 'east'), [named('db-0', '10.1.0.2')]),
    slice('ns/d2', imported('db', 'west'), [named('db-0', '10.2.0.2'), endpoint('10.2.0.3')]),
    service('ns/local', ['10.96.0.1']),
  ]
  const r = room(objects, MULTI)
  t.same(r.rejections(), [], 'a slice that is only imported is in order')
  t.same(r.ask(SET), ['A 10.97.0.1'])
  t.same(r.ask(`_http._tcp.${SET}`, 'SRV'), [`SRV 0 100 80 ${SET}`])
  t.same(r.ask(`w.east.${SET}`), ['A 10.1.0.1'])
  t.same(r.ask(`east.${SET}`), [])
  t.equal(r.ask(`w.west.${SET}`), 'NXDOMAIN')
  t.equal(r.ask(`w.${SET}`), 'NXDOMAIN')
  const db = 'db.ns.svc.clusterset.local.'
  t.same(r.ask(db), ['A 10.1.0.2', 'A 10.2.0.2', 'A 10.2.0.3'])
  t.same(r.ask(`db-0.west.${db}`), ['A 10.2.0.2'])
  const srv = ['10-2-0-3.west', 'db-0.east', 'db-0.west'].map((host) => `SRV 0 33 8080 ${host}.${db}`)
  t.same(r.ask(`_http._tcp.${db}`, 'SRV'), srv)
  t.equal(r.ask('web.ns.svc.cluster.local.'), 'NXDOMAIN', 'not in the cluster zone')
  t.equal(r.ask('local.ns.svc.clusterset.local.'), 'NXDOMAIN', 'and what is not imported not in the other')
  t.same(r.ask('ns.svc.clusterset.local.'), [])
  t.same(r.ask('dns-version.clusterset.local.', 'TXT'), ['TXT ["1.1.0"] ttl 28800'])
  t.equal(r.ask('2.0.2.10.in-addr.arpa.', 'PTR'), 'NXDOMAIN')
  t.equal(r.drop(objects[3]!, objects[4]!).ask(db), 'NXDOMAIN')
})

t.test('what cannot be a name is rejected, and named', async (t) => {
  const bad = room([
    service('ns/web', 'None'),
    slice('ns/w', 'web', [named('Under_score', '10.244.1.1'), named('x'.repeat(64), '10.244.1.2')]),
  ])
  t.same(bad.ask(`10-244-1-1.${WEB}`), ['A 10.244.1.1'], 'the endpoint itself is used')
  t.match(bad.rejections(), [
    { object: 'EndpointSlice ns/w', field: 'endpoints[0].hostname', problem: /"Under_score", not a DNS label/ },
    { object: 'EndpointSlice ns/w', field: 'endpoints[1].hostname' },
  ])
  const dotted = room([service('ns/a.b', ['10.96.0.1'])])
  t.equal(dotted.ask('a.b.ns.svc.cluster.local.'), 'NXDOMAIN')
  t.match(dotted.rejections(), [{ object: 'Service ns/a.b', field: 'metadata.name', problem: /not a DNS label/ }])
  const ports = [{ name: 'a_b', port: 80, protocol: 'TCP' }]
  const port = room([service('ns/web', ['10.96.0.1'], { ports })])
  t.same(port.ask(WEB, 'SRV'), [`SRV 0 100 80 ${WEB}`])
  t.match(port.rejections(), [{ object: 'Service ns/web', field: 'spec.ports', problem: /"a_b"/ }])
  const cluster = room([serviceImport('ns/db', 'Headless', []), slice('ns/d', imported('db', 'No_Label'), [])], MULTI)
  t.match(cluster.rejections(), [{ field: 'metadata.labels[multicluster.kubernetes.io/source-cluster]' }])
})

t.test('names of over 255 octets are rejected, and named', async (t) => {
  // 235 characters with the final dot: `web.ns.svc.` makes 246 of it, `_http._tcp.` 257.
  const zone = `${`${'z'.repeat(58)}.`.repeat(3)}${'y'.repeat(57)}.`
  const base = `web.ns.svc.${zone}`
  t.equal(base.length, 246)
  const r = room([service('ns/web', ['10.96.0.1']), slice('ns/w', 'web', [named('abcdefgh', '10.244.1.1')])], {
    zones: [zone, 'in-addr.arpa.'],
  })
  t.same(r.ask(base), ['A 10.96.0.1'])
  t.equal(r.ask(`_http._tcp.${base}`, 'SRV'), 'NXDOMAIN')
  t.equal(r.ask('1.1.244.10.in-addr.arpa.', 'PTR'), 'NXDOMAIN', 'nothing points to what is not there')
  t.match(r.rejections(), [
    { object: 'Service ns/web', field: 'endpoints', problem: /makes 1 names of over 255 octets, as abcdefgh/ },
    { object: 'Service ns/web', field: 'metadata.name', problem: /_http\._tcp\.web\.ns.*over 255 octets/ },
  ])
  t.ok([...r.rows().values()].every(({ name }) => name.length <= 254))
  const longer = `${'z'.repeat(60)}.`.repeat(4)
  const none = room([service('ns/web', ['10.96.0.1'])], { zones: [longer, 'in-addr.arpa.'] })
  t.equal(none.ask('1.0.96.10.in-addr.arpa.', 'PTR'), 'NXDOMAIN', 'nor to a Service')
  const shorter = room([service('ns/web', 'None'), slice('ns/w', 'web', [named('abcdefg', '10.244.1.1')])], {
    zones: [zone],
  })
  t.equal(`abcdefg.${base}`.length, 254)
  t.same(shorter.ask(`abcdefg.${base}`), ['A 10.244.1.1'], '255 octets are allowed')
})

t.test('a crowd: no more than a message could ever hold, and a line to the carrier', async (t) => {
  const crowd = (family: 4 | 6, first: number) =>
    Array.from({ length: 1000 }, (_, i) => {
      const n = first + i
      const [high, low] = [n >> 8, n & 255]
      const v6 = `fd00:aaaa:bbbb:cccc:dddd:eeee:${(0xa000 + high).toString(16)}:${(0xb000 + low).toString(16)}`
      return named(`host-${'x'.repeat(40)}-${n}`, family === 4 ? `10.244.${high}.${low}` : v6)
    })
  const slices = Array.from({ length: 7 }, (_, i) => [
    slice(`ns/w4-${i}`, 'web', crowd(4, i * 1000)),
    slice(`ns/w6-${i}`, 'web', crowd(6, i * 1000)),
  ]).flat()
  const r = room([service('ns/web', 'None'), ...slices])
  t.equal(r.ask(WEB).length, 5800)
  t.equal(r.ask(WEB, 'AAAA').length, 5000)
  t.ok(r.ask(WEB, 'SRV').length > 1000)
  for (const row of r.rows().values()) if (JSON.stringify(row).length > 1_040_000) t.fail(row.name)
  t.match(r.rejections(), [
    { object: 'Service ns/web', problem: 'has 7000 endpoints with IPv4 addresses; its name answers 5800' },
    { object: 'Service ns/web', problem: 'has 7000 endpoints with IPv6 addresses; its name answers 5000' },
    {
      object: 'Service ns/web',
      problem: `has 7000 SRV records, one for each port of each endpoint; its name answers ${r.ask(WEB, 'SRV').length}`,
    },
  ])
  const few = room([service('ns/web', 'None'), ...slices.slice(0, 4)])
  t.equal(few.ask(WEB, 'SRV').length, 2000)
  t.same(few.rejections(), [], 'all are answered')
  const named4 = Array.from({ length: 4 }, (_, i) =>
    slice(
      `ns/same-${i}`,
      'web',
      Array.from({ length: 1000 }, (_, n) => named('same', `10.${i}.${n >> 8}.${n & 255}`)),
    ),
  )
  const same = room([service('ns/web', 'None'), ...named4])
  t.equal(same.ask(`same.${WEB}`).length, 4000, 'none of those that share a name is left out')
})

t.test('a change touches the rows that depend on it', async (t) => {
  const r = room([
    service('ns/web', 'None'),
    service('ns/api', ['10.96.0.1']),
    slice('ns/w', 'web', [endpoint('10.244.1.1'), endpoint('10.244.1.2')]),
    slice('ns/a', 'api', [endpoint('10.244.2.1')]),
  ])
  r.put(slice('ns/a', 'api', [endpoint('10.244.2.1'), endpoint('10.244.2.2')]))
  t.same(r.settle(), {
    put: ['k0 10-244-2-2.api.ns.svc.cluster.local.', 'k0 2.2.244.10.in-addr.arpa.'],
    drop: [],
  })
  r.put(slice('ns/w', 'web', [endpoint('10.244.1.2'), endpoint('10.244.1.1', { nodeName: 'n2', zone: 'z' })]))
  t.same(r.settle(), { put: [], drop: [] }, 'order, node and zone are nothing to DNS')
  r.put(slice('ns/w', 'web', [endpoint('10.244.1.1')]))
  t.same(r.settle(), {
    put: [`k0 _http._tcp.${WEB}`, `k0 ${WEB}`],
    drop: [`k0 10-244-1-2.${WEB}`, 'k0 2.1.244.10.in-addr.arpa.'],
  })
})

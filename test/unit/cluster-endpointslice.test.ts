import t, { type Test } from 'tap'
import { unpackEndpoints } from '../../src/cluster/endpointlist.ts'
import { parseEndpointSlice } from '../../src/cluster/endpointslice.ts'

const labels = { 'kubernetes.io/service-name': 'web' }
/** Endpoints as a list, not by columns. */
const parse = (fields: object) => {
  const metadata = { namespace: 'shop', name: 'web-abc', labels }
  const { row, rejections } = parseEndpointSlice({ metadata, addressType: 'IPv4', ports: [{ port: 80 }], ...fields })
  return { row: row === null ? null : { ...row, endpoints: unpackEndpoints(row.endpoints) }, rejections }
}
const endpoint = (address: unknown, more: object = {}) => ({ addresses: [address], ...more })

const only = (t: Test, { rejections }: ReturnType<typeof parse>) => {
  t.equal(rejections.length, 1, JSON.stringify(rejections))
  t.equal(rejections[0]?.object, 'EndpointSlice shop/web-abc')
  return `${rejections[0]?.field}: ${rejections[0]?.problem}`
}

t.test('absent fields get their defaults', async (t) => {
  t.same(parse({ endpoints: [endpoint('10.0.0.1')] }), {
    row: {
      ...{
        namespace: 'shop',
        name: 'web-abc',
        service: 'web',
        imported: '',
        cluster: '',
        family: 4,
        ports: [{ name: '', protocol: 'tcp', port: 80 }],
      },
      endpoints: [
        {
          ...{ address: '10.0.0.1', ready: true, serving: true, terminating: false, node: null, zone: null },
          ...{ hintZones: null, hintNodes: null },
        },
      ],
      triggeredAt: 0,
    },
    rejections: [],
  })
  t.match(parse({ endpoints: null, ports: null }), { row: { endpoints: [], ports: [] }, rejections: [] })
})

t.test('everything that is given is read', async (t) => {
  const given = {
    conditions: { ready: false, serving: true, terminating: true },
    ...{
      nodeName: 'n1',
      zone: 'z-a',
      hints: { forZones: [{ name: 'z-a' }, { name: 'z-b' }], forNodes: [{ name: 'n1' }] },
    },
  }
  t.match(parse({ endpoints: [endpoint('10.0.0.1', given)] }).row?.endpoints, [
    {
      ...{ ready: false, serving: true, terminating: true, node: 'n1', zone: 'z-a' },
      ...{ hintZones: ['z-a', 'z-b'], hintNodes: ['n1'] },
    },
  ])
  const six = parse({ addressType: 'IPv6', endpoints: [endpoint('FD00::0:1')] })
  t.match(six.row, { family: 6, endpoints: [{ address: 'fd00::1' }] })
})

t.test('nil conditions', async (t) => {
  const of = (conditions: unknown) => parse({ endpoints: [endpoint('10.0.0.1', { conditions })] }).row?.endpoints[0]
  t.match(of({}), { ready: true, serving: true, terminating: false })
  t.match(of({ ready: false }), { ready: false, serving: false, terminating: false }, 'serving is as ready')
  t.match(of({ ready: null, terminating: true }), { ready: true, serving: true, terminating: true })
})

t.test('when it was triggered, if that can be read', async (t) => {
  const of = (annotations: unknown) => {
    const metadata = { namespace: 'shop', name: 'web-abc', labels, annotations }
    const { row, rejections } = parse({ metadata })
    t.same(rejections, [])
    return row?.triggeredAt
  }
  const at = (text: unknown) => of({ 'endpoints.kubernetes.io/last-change-trigger-time': text })
  t.equal(at('2026-11-21T12:00:00Z'), Date.UTC(2026, 10, 21, 12))
  t.equal(at('2026-11-21T12:00:00.123456789Z'), Date.UTC(2026, 10, 21, 12, 0, 0, 123))
  t.equal(at('2026-11-21T12:00:00.5+02:00'), Date.UTC(2026, 10, 21, 10, 0, 0, 500))
  for (const text of ['', '2026', '2026-13-21T12:00:00Z', 'yesterday', 7, null, {}, 'Z'.repeat(5000)])
    t.equal(at(text), 0)
  for (const annotations of [null, undefined, [], 'x', {}]) t.equal(of(annotations), 0)
})

t.test('no hints', async (t) => {
  for (const hints of [null, {}, { forZones: [] }, { forZones: null }]) {
    const parsed = parse({ endpoints: [endpoint('10.0.0.1', { hints })] })
    t.match(parsed, { row: { endpoints: [{ hintZones: null, hintNodes: null }] }, rejections: [] })
  }
})

t.test('addresses that no endpoint has are left out, others stay', async (t) => {
  const bad: Record<string, string> = {
    ...{ '127.0.0.1': 'loopback', '169.254.0.1': 'link-local', '224.0.0.251': 'multicast', '0.0.0.0': 'unspecified' },
    ...{
      '255.255.255.255': 'broadcast',
      'fd00::1': 'not IPv4',
      '010.0.0.1': 'not an IP address',
      '127.1': 'not an IP address',
    },
  }
  for (const [address, what] of Object.entries(bad)) {
    const parsed = parse({ endpoints: [endpoint('10.0.0.1'), endpoint(address), endpoint('10.0.0.2')] })
    t.match(only(t, parsed), `endpoints[1].addresses[0]: is `)
    t.match(parsed.rejections[0]?.problem, what)
    t.same(
      parsed.row?.endpoints.map((it) => it.address),
      ['10.0.0.1', '10.0.0.2'],
    )
  }
  const six: Record<string, string> = {
    '::1': 'loopback',
    'fe80::1': 'link-local',
    'ff02::1': 'multicast',
    '10.0.0.1': 'not IPv6',
  }
  for (const [address, what] of Object.entries({ ...six, '::ffff:10.0.0.1': 'not an IP address' })) {
    t.match(only(t, parse({ addressType: 'IPv6', endpoints: [endpoint(address)] })), what)
  }
  t.match(only(t, parse({ endpoints: [{ addresses: [] }] })), 'is nothing, not an IP address')
  t.match(only(t, parse({ endpoints: ['10.0.0.1'] })), 'endpoints[0]: is "10.0.0.1", not an object')
})

t.test('an endpoint whose conditions cannot be read gets no traffic', async (t) => {
  for (const conditions of [{ ready: 'false' }, { serving: 1 }, { terminating: 'x' }, 'ready', []]) {
    const parsed = parse({ endpoints: [endpoint('10.0.0.1', { conditions })] })
    t.match(only(t, parsed), 'endpoints[0].conditions: ')
    t.same(parsed.row?.endpoints, [])
  }
})

t.test('slices of the wrong type', async (t) => {
  t.match(only(t, parse({ addressType: 'FQDN' })), 'addressType: is FQDN')
  t.match(only(t, parse({ addressType: undefined })), 'addressType: is nothing')
  t.match(only(t, parse({ addressType: 'ipv4' })), 'addressType: is "ipv4"')
  t.equal(parse({ addressType: 'FQDN' }).row, null)
})

t.test('a slice that is nobody’s', async (t) => {
  const parsed = parse({ metadata: { namespace: 'shop', name: 'web-abc' }, endpoints: [endpoint('10.0.0.1')] })
  t.match(only(t, parsed), 'metadata.labels[kubernetes.io/service-name]: is missing')
  t.match(parsed.row, { service: '', endpoints: [{}] })
})

t.test('ports', async (t) => {
  t.match(only(t, parse({ ports: [{ name: 'a', port: null }] })), 'ports[0].port: is missing, which means all ports')
  t.match(only(t, parse({ ports: [{ port: 80 }, { port: 81 }] })), 'ports[1].name: is a second tcp port ""')
  t.match(only(t, parse({ ports: [{ port: 80, protocol: 'QUIC' }] })), 'ports[0].protocol: is "QUIC"')
  t.same(
    parse({
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'dns', port: 53 },
      ],
    }).rejections,
    [],
  )
})

t.test('too many endpoints, and long names', async (t) => {
  const many = Array.from({ length: 1001 }, (_, i) => endpoint(`10.0.${i >> 8}.${i & 255}`))
  const parsed = parse({ endpoints: many })
  t.match(only(t, parsed), 'endpoints: has 1001 items; only the first 1000 are used')
  t.equal(parsed.row?.endpoints.length, 1000)
  const long = parse({ endpoints: [endpoint('10.0.0.1', { nodeName: 'n'.repeat(5000) })] })
  t.match(only(t, long), 'endpoints[0].nodeName: is "nnnn')
  t.match(long.row?.endpoints, [{ address: '10.0.0.1', node: null }])
  t.ok(long.rejections[0]!.problem.length < 120, 'cut')
})

t.test('the same texts are the same strings and lists', async (t) => {
  const hints = () => ({ forZones: [{ name: 'z-a' }] })
  const of = (address: string) => parse({ endpoints: [endpoint(address, { hints: hints() })] }).row!.endpoints[0]!
  t.equal(of('10.0.0.1').hintZones, of('10.0.0.2').hintZones)
})

t.test('names of endpoints: by columns, and nothing where there are none', async (t) => {
  const packed = (endpoints: object[], podNames = false) => {
    const raw = { metadata: { namespace: 'shop', name: 'web-abc', labels }, addressType: 'IPv4', endpoints }
    const { row, rejections } = parseEndpointSlice(raw, podNames)
    return { hostnames: row?.endpoints.hostnames, pods: row?.endpoints.pods, rejections }
  }
  const targetRef = { kind: 'Pod', name: 'web-1' }
  const two = [endpoint('10.0.0.1', { targetRef }), endpoint('10.0.0.2', { hostname: 'web-0' })]
  t.same(packed([endpoint('10.0.0.1')], true), { hostnames: null, pods: null, rejections: [] })
  t.same(packed(two), { hostnames: ' web-0', pods: null, rejections: [] })
  t.same(packed(two, true), { hostnames: ' web-0', pods: 'web-1 ', rejections: [] })
  for (const name of ['a.b', 'x'.repeat(64), 7, null])
    t.match(packed([endpoint('10.0.0.1', { targetRef: { name } })], true), { pods: null, rejections: [] }, 'no label')
  for (const hostname of ['a.b', 'x'.repeat(64), 'Web-0', '-a', 'a b', 7]) {
    const wrong = packed([endpoint('10.0.0.1', { hostname })])
    t.equal(wrong.hostnames, null)
    t.match(wrong.rejections, [{ field: 'endpoints[0].hostname', problem: /not a DNS label; not used/ }])
  }
})

t.test('a slice of another cluster', async (t) => {
  const of = (service: unknown, cluster: unknown, own?: string) =>
    parse({
      metadata: {
        ...{ namespace: 'shop', name: 'web-abc' },
        labels: {
          'multicluster.kubernetes.io/service-name': service,
          'multicluster.kubernetes.io/source-cluster': cluster,
          'kubernetes.io/service-name': own,
        },
      },
    })
  t.match(of('web', 'east'), { row: { service: '', imported: 'web', cluster: 'east' }, rejections: [] })
  t.match(of('web', 'east', 'derived-1'), { row: { service: 'derived-1', imported: 'web' }, rejections: [] })
  const nameless = of('web', 'No_Label')
  t.match(only(t, nameless), 'metadata.labels[multicluster.kubernetes.io/source-cluster]: is "No_Label"')
  t.match(nameless.row, { imported: 'web', cluster: '' })
  t.match(
    only(t, of(7, 'east', 'web')),
    'metadata.labels[multicluster.kubernetes.io/service-name]: is 7, not a Service',
  )
})

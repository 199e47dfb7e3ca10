/** Options of plugins, each to what the carrier is told. */
import t from 'tap'
import type { Step } from '../../src/dns/corefile/step.ts'
import { access, configuration, RESOLV_CONF, step } from './dns-corefile-world.ts'

const files = {
  '/etc/resolv.conf': RESOLV_CONF,
  '/etc/hosts': '',
  '/one.conf': 'nameserver 10.1.1.1 # first\nnameserver fe80::9%eth0\nnameserver nonsense\n',
  '/zones/db': '@ SOA ns host 1 2 3 4 5',
}

t.test('options', async (t) => {
  const table: [string, Partial<Step> & Record<string, unknown>][] = [
    ['cancel', { plugin: 'cancel', timeoutMs: 5001 }],
    ['cancel 1m1.5s', { timeoutMs: 61_500 }],
    ['cancel 1.2ms', { timeoutMs: 2 }],
    ['cancel .5h', { timeoutMs: 1_800_000 }],
    [
      'timeouts {\n read 10s\n write 5\n idle 1h\n maxtcpqueries 128\n}',
      { readMs: 10_000, writeMs: 5000, idleMs: 3_600_000, maxQueries: 128 },
    ],
    ['timeouts {\n maxtcpqueries -1\n}', { readMs: null, maxQueries: null }],
    ['bufsize', { size: 1232 }],
    ['bufsize 4096', { size: 4096 }],
    ['nsid', { data: 'dns-0' }],
    ['nsid a  b', { data: 'a b' }],
    ['chaos', { version: 'Fairlead', authors: [] }],
    ['chaos v1 b a a', { version: 'v1', authors: ['a', 'b'] }],
    ['metadata', { zones: ['example.org.'] }],
    ['metadata a 10.0.0.0/8', { zones: ['a.', '10.in-addr.arpa.'] }],
    ['local', { localhostPrefix: true }],
    ['local {\n localhost_prefix off\n}', { localhostPrefix: false }],
    ['loop', { zone: 'example.org.' }],
    ['whoami', { plugin: 'whoami' }],
    ['any', { plugin: 'any' }],
    ['minimal', { plugin: 'minimal' }],
    ['health', { listen: { address: null, port: 8080 }, lameduckMs: 0 }],
    ['health localhost:1 {\n lameduck 1s\n}', { listen: { address: '127.0.0.1', port: 1 }, lameduckMs: 1000 }],
    ['health [::1]:81', { listen: { address: '::1', port: 81 } }],
    ['ready', { listen: { address: null, port: 8181 }, continuously: false }],
    ['ready :1 {\n monitor continuously\n}', { listen: { address: null, port: 1 }, continuously: true }],
    ['prometheus', { listen: { address: '127.0.0.1', port: 9153 } }],
    ['errors', { consolidate: [] }],
    [
      'errors stdout {\n stacktrace\n consolidate 5m ".* timeout$"\n consolidate 10s ^x warning show_first\n}',
      {
        consolidate: [
          { periodMs: 300_000, pattern: '.* timeout$', level: 'error', showFirst: false },
          { periodMs: 10_000, pattern: '^x', level: 'warning', showFirst: true },
        ],
      },
    ],
    [
      'log a b {\n class denial error\n class denial\n}',
      { rules: [{ zone: 'a.', classes: ['denial', 'error'] }, { zone: 'b.' }] },
    ],
    [
      'log . "{remote} \\"{>rflags}\\" {/kubernetes/endpoint}{ x {" {\n class all\n}',
      {
        rules: [
          {
            zone: '.',
            classes: ['all'],
            format: [
              { field: 'remote' },
              { text: ' "' },
              { field: 'rflags' },
              { text: '" ' },
              { metadata: 'kubernetes/endpoint' },
              { text: '{ x {' },
            ],
          },
        ],
      },
    ],
    ['dns64', { prefix: '64:ff9b::/96', translateAll: false, allowIpv4: false }],
    [
      'dns64 {\n prefix 2001:DB8:1::1/64\n translate_all\n allow_ipv4\n}',
      { prefix: '2001:db8:1::/64', translateAll: true, allowIpv4: true },
    ],
    ['loadbalance round_robin {\n prefer 10.1.2.3/8 fd00::1\n}', { prefer: ['10.0.0.0/8', 'fd00::1/128'] }],
    [
      'acl a {\n allow type A AAAA net 10.0.0.0/8 192.168.1.1\n block type * net *\n FILTER type any\n drop net ::/0\n}',
      {
        rules: [
          {
            zones: ['a.'],
            policies: [
              { action: 'allow', types: [1, 28], networks: ['10.0.0.0/8', '192.168.1.1/32'] },
              { action: 'block', types: [], networks: [] },
              { action: 'filter', types: [255], networks: [] },
              { action: 'drop', types: [], networks: ['::/0'] },
            ],
          },
        ],
      },
    ],
    [
      'header {\n query set rd\n response clear aa ra\n}',
      {
        query: [{ flag: 'rd', set: true }],
        response: [
          { flag: 'aa', set: false },
          { flag: 'ra', set: false },
        ],
      },
    ],
    ['autopath a /etc/resolv.conf', { zones: ['a.'], search: ['corp.example.'], pods: null }],
    [
      'file /zones/db a b {\n fallthrough a\n reload 0\n}',
      {
        zones: [
          { zone: 'a.', set: /^f[0-9a-f]{12}$/ },
          { zone: 'b.', set: /^f[0-9a-f]{12}$/ },
        ],
        fallthrough: ['a.'],
      },
    ],
    [
      'hosts {\n 10.0.0.1 a.example.org\n ttl 5\n no_reverse\n reload 0\n fallthrough\n fallthrough_unsupported\n}',
      { set: /^h[0-9a-f]{12}$/, zones: ['example.org.'], ttl: 5, fallthrough: ['.'], fallthroughUnsupported: true },
    ],
  ]
  for (const [lines, wanted] of table) t.match(step(lines, access(files)), wanted, lines)
})

t.test('cache', async (t) => {
  const share = (maxTtl: number) => ({ capacity: 9984, maxTtl, minTtl: 5, except: [] })
  t.same(step('cache'), {
    plugin: 'cache',
    zones: ['example.org.'],
    success: share(3600),
    denial: share(1800),
    prefetch: null,
    serveStale: null,
    servfailMs: 5000,
    keepTtl: false,
  })
  t.match(step('cache 10 a 10.0.0.0/15'), {
    zones: ['a.', '0.10.in-addr.arpa.', '1.10.in-addr.arpa.'],
    success: share(10),
    denial: share(10),
  })
  const all =
    'cache {\n success 5000 7 1\n denial 100 8 0\n prefetch 3 2m 20%\n servfail 0\n disable denial a b\n disable success\n keepttl\n}'
  t.match(step(all), {
    success: { capacity: 5000, maxTtl: 7, minTtl: 1, except: ['.'] },
    denial: { capacity: 1024, maxTtl: 8, minTtl: 0, except: ['a.', 'b.'] },
    prefetch: { amount: 3, durationMs: 120_000, percentage: 20 },
    servfailMs: 0,
    keepTtl: true,
  })
  const stale = (words: string) => (step(`cache {\n serve_stale ${words}\n}`) as { serveStale: unknown }).serveStale
  const base = { upToMs: 3_600_000, verify: false, verifyTimeoutMs: 0, ttl: 0, recheckMs: 0, preferPositive: false }
  t.same(stale(''), base)
  t.same(stale('2h immediate 30s 10s'), { ...base, upToMs: 7_200_000, ttl: 30, recheckMs: 10_000 })
  t.same(stale('1h verify 100ms 30s 5m\n serve_stale_policy prefer_positive'), {
    ...base,
    verify: true,
    verifyTimeoutMs: 100,
    ttl: 30,
    recheckMs: 300_000,
    preferPositive: true,
  })
})

t.test('forward', async (t) => {
  const of = (words: string) => step(`forward ${words}`, access(files)) as Extract<Step, { plugin: 'forward' }>
  const upstreams = (words: string) =>
    of(`. ${words}`).upstreams.map(
      ({ transport, address, port, serverName }) => `${transport} ${address} ${port} ${serverName ?? '-'}`,
    )
  t.same(upstreams('10.0.0.1 10.0.0.2:5353 dns://10.0.0.3 fd00::1 [FD00::2]:54 10.0.0.1'), [
    'dns 10.0.0.1 53 -',
    'dns 10.0.0.2 5353 -',
    'dns 10.0.0.3 53 -',
    'dns fd00::1 53 -',
    'dns fd00::2 54 -',
  ])
  t.same(upstreams('tls://9.9.9.9 tls://9.9.9.9%Dns.Quad9.net:10853 tls://[2620:fe::fe%dns.quad9.net]:853'), [
    'tls 9.9.9.9 853 -',
    'tls 9.9.9.9 10853 dns.quad9.net',
    'tls 2620:fe::fe 853 dns.quad9.net',
  ])
  t.same(upstreams('tls://9.9.9.9 1.1.1.1 {\n tls_servername dns.Quad9.net\n}'), [
    'tls 9.9.9.9 853 dns.quad9.net',
    'dns 1.1.1.1 53 -',
  ])
  t.same(upstreams('/one.conf /etc/resolv.conf'), [
    'dns 10.1.1.1 53 -',
    'dns fe80::9%eth0 53 -',
    'dns 10.0.0.2 53 -',
    'dns fd00::2 53 -',
  ])
  const options = [
    'except a 10.0.0.0/8',
    'except b',
    'force_tcp',
    'prefer_udp',
    'expire 20s',
    'max_age 1m',
    'max_idle_conns 4',
    'read_timeout 3s',
    'max_fails 0',
    'max_connect_attempts 0',
    'policy ROUND_ROBIN',
    'health_check 1s no_rec domain Example.org',
    'max_concurrent 1000',
    'next NXDOMAIN SERVFAIL NXDOMAIN',
    'next_on_nodata',
    'failfast_all_unhealthy_upstreams',
    'failover servfail refused',
    'source_address 10.0.0.9',
    'tls c k ca',
  ]
  t.same(of(`A.example 1.1.1.1 {\n${options.join('\n')}\n}`), {
    plugin: 'forward',
    from: 'a.example.',
    upstreams: [{ transport: 'dns', address: '1.1.1.1', port: 53, serverName: null }],
    except: ['a.', '10.in-addr.arpa.', 'b.'],
    policy: 'round_robin',
    forceTcp: true,
    preferUdp: true,
    expireMs: 20_000,
    maxAgeMs: 60_000,
    maxIdleConnections: 4,
    readTimeoutMs: 3000,
    maxFails: 0,
    maxConnectAttempts: 0,
    healthCheck: { intervalMs: 1000, recursionDesired: false, domain: 'example.org.' },
    maxConcurrent: 1000,
    next: [3, 2],
    nextOnNodata: true,
    failover: [2, 5],
    failFast: true,
    sourceAddress: '10.0.0.9',
    tls: { certificate: 'c', key: 'k', ca: 'ca' },
  })
  t.same(of('. 1.1.1.1 {\n tls ca\n}').tls, { certificate: null, key: null, ca: 'ca' })
  t.match(of('. 1.1.1.1 {\n max_concurrent 0\n max_idle_conns 0\n max_age 0\n}'), {
    maxConcurrent: null,
    maxIdleConnections: null,
    maxAgeMs: null,
  })
  const two = configuration('. {\n forward a 1.1.1.1\n forward . 2.2.2.2\n}').servers[0]!.steps
  t.same(
    two.map((it) => 'from' in it && it.from),
    ['a.', '.'],
  )
})

t.test('kubernetes', async (t) => {
  const lines = [
    'pods verified',
    'endpoint_pod_names',
    'namespaces b a',
    'namespaces a',
    'labels env in (x, y),app=nginx',
    'ttl 0',
    'noendpoints',
    'fallthrough a',
    'ignore empty_service',
    'multicluster clusterset.local',
    'kubeconfig /k.yaml ctx',
    'startup_timeout 5s',
    'apiserver_qps 5',
  ]
  const found = configuration(`. {\nkubernetes Cluster.local clusterset.local 10.0.0.0/8 {\n${lines.join('\n')}\n}\n}`)
  t.match(found.servers[0]!.steps, [
    {
      plugin: 'kubernetes',
      set: /^k[0-9a-f]{12}$/,
      zones: ['cluster.local.', 'clusterset.local.', '10.in-addr.arpa.'],
      ttl: 0,
      fallthrough: ['a.'],
    },
  ])
  t.match(found.kubernetes, [
    {
      set: /^k[0-9a-f]{12}$/,
      options: {
        zones: ['cluster.local.', 'clusterset.local.', '10.in-addr.arpa.'],
        multicluster: ['clusterset.local.'],
        pods: 'verified',
        endpointPodNames: true,
        namespaces: ['a', 'b'],
        noEndpoints: true,
        ignoreEmptyService: true,
      },
      labels: [
        { key: 'env', operator: 'In', values: ['x', 'y'] },
        { key: 'app', operator: 'In', values: ['nginx'] },
      ],
      api: { kubeconfig: '/k.yaml', context: 'ctx' },
    },
  ])
  t.same(
    found.warnings.map(({ problem }) => problem),
    ['apiserver_qps has no effect here'],
  )
  const api = configuration('a {\n kubernetes {\n endpoint https://h:6443\n tls c k a\n namespace_labels x\n}\n}')
    .kubernetes[0]!
  t.same(api.api, { endpoint: 'https://h:6443', tls: { certificate: 'c', key: 'k', ca: 'a' } })
  t.match(api.options, { zones: ['a.'], namespaceLabels: [{ key: 'x', operator: 'Exists' }] })
})

t.test('equal directives share a set', async (t) => {
  const text = `a {\n kubernetes c\n hosts {\n 10.0.0.1 x.a\n}\n}\nb {\n kubernetes c\n hosts\n}\nd {\n kubernetes c {\n pods insecure\n}\n}`
  const sets = (text: string) =>
    configuration(text, access(files)).servers.map(({ steps }) => steps.map((it) => ('set' in it ? it.set : '')))
  const [first, second, third] = sets(text)
  t.equal(first![1], second![1], 'both say kubernetes c')
  t.equal(new Set([...first!, ...second!, ...third!]).size, 4, 'two of hosts, two of kubernetes')
  t.same(sets(text.replace('kubernetes c', 'kubernetes e'))[2], third, 'called by what it says, not by where it stands')
})

t.test('bind, reload', async (t) => {
  const listen = (lines: string) => configuration(`. {\n${lines}\n}`).servers[0]!.listen.map(({ address }) => address)
  t.same(listen(''), ['0.0.0.0', '::'])
  t.same(listen('bind 169.254.20.10 10.96.0.10'), ['169.254.20.10', '10.96.0.10'])
  t.same(listen('bind lo\nbind eth0 ::1'), ['127.0.0.1', '::1', '10.0.0.5', 'fd00::5'])
  t.same(listen('bind lo eth0 {\n except 127.0.0.1 eth0\n}'), ['::1'])
  const reload = (line: string) => configuration(`. {\n${line}\n}`).reload
  t.equal(reload(''), null)
  t.same(reload('reload'), { intervalMs: 30_000, jitterMs: 15_000 })
  t.same(reload('reload 10s'), { intervalMs: 10_000, jitterMs: 5000 })
  t.same(reload('reload 10s 0s'), { intervalMs: 10_000, jitterMs: 0 })
})

t.test('tls is of servers over TLS', async (t) => {
  const text = 'tls://a b:54 {\n root /x\n tls c.pem /k.pem ca.pem {\n  client_auth require_and_verify\n }\n whoami\n}'
  t.match(configuration(text).servers, [
    {
      listen: [{ transport: 'tls', port: 853 }, { transport: 'tls' }],
      steps: [
        { plugin: 'tls', certificate: '/x/c.pem', key: '/k.pem', ca: '/x/ca.pem', clientAuth: 'requireAndVerify' },
        { plugin: 'whoami' },
      ],
    },
    { zones: ['b.'], steps: [{ plugin: 'whoami' }] },
  ])
})

t.test('the search domains of pods are those of the kubernetes beside them', async (t) => {
  const { servers, kubernetes } = configuration(
    'a {\n autopath @kubernetes\n kubernetes a 10.in-addr.arpa {\n  pods verified\n }\n}\nb {\n kubernetes b\n}',
  )
  const [first, second] = kubernetes.map(({ set }) => set)
  t.match(servers[0]!.steps, [
    { plugin: 'autopath', zones: ['a.'], search: ['corp.example.'], pods: { set: `${first}-clients`, zones: ['a.'] } },
    { plugin: 'kubernetes', set: first! },
  ])
  t.match(servers[1]!.steps, [{ plugin: 'kubernetes', set: second! }])
  t.same(
    kubernetes.map(({ options }) => options.clients),
    [[], undefined],
  )
})

t.test('what is ignored is warned of', async (t) => {
  const text =
    '. {\n debug\n autopath @kubernetes\n kubernetes a\n log . "{nmae}"\n prometheus {\n  runtime_metrics\n }\n}'
  t.same(
    configuration(text).warnings.map(({ line, problem }) => `${line} ${problem}`),
    [
      '2 debug has no effect here',
      '3 only pods that are verified are known by address',
      '5 "nmae" is no field of a log line',
      '7 there is no Go runtime here to measure',
    ],
  )
})

t.test('metadata: what is asked of it, and what nobody gives said where it stands', async (t) => {
  const warned = (text: string): readonly string[] =>
    configuration(text).warnings.map(({ line, problem }) => `${line} ${problem}`)
  const service = 'log . "{name} {/kubernetes/service}"'
  t.same(warned(`a {\n${service}\n}`), ['2 "kubernetes/service" is not known without metadata'])
  t.same(warned(`a {\n${service}\nmetadata\n}`), [
    '2 "kubernetes/service" is not known: there is no kubernetes in this server',
  ])
  t.same(warned(`a {\n${service}\nmetadata\nkubernetes a\n}`), [])
  const client = 'log . "{/kubernetes/client-namespace} {/kubernetes/client-label/app.kubernetes.io/Name}"'
  t.same(warned(`a {\n${client}\nmetadata\nkubernetes a\n}`), ['2 "kubernetes/client-namespace" is not known of pods'])
  t.same(warned('a {\nmetadata\nlog . "{/kubernetes/servce} {/log/type}"\n}'), [
    '3 "kubernetes/servce" is not known: there is no kubernetes in this server',
    '3 "kubernetes/servce" is no label of metadata that is given here',
  ])
  t.same(warned('a {\nmetadata\nrewrite edns0 local set 0xffee {forward/upstream}\n}'), [
    '3 "forward/upstream" is known only once there is an answer',
  ])
  const { kubernetes, servers } = configuration(
    `a {\n${client}\nmetadata\nkubernetes a b {\npods verified\nmulticluster b\n}\n}`,
  )
  const [{ set, options }] = kubernetes as [(typeof kubernetes)[number]]
  t.same(options.clients, ['app.kubernetes.io/Name'])
  t.match(servers[0]!.steps[0], {
    ...{ plugin: 'metadata', zones: ['a.'] },
    kubernetes: { zones: ['a.', 'b.'], multicluster: ['b.'], clients: `${set}-clients` },
  })
  const unused = configuration('a {\nmetadata\nkubernetes a {\npods verified\n}\n}')
  t.equal(unused.kubernetes[0]!.options.clients, undefined, 'what nobody asks for is not kept')
  t.match(unused.servers[0]!.steps[0], { kubernetes: { clients: null } })
})

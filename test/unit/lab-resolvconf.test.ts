import t from 'tap'
import { resolvConf } from '../../src/lab/resolvconf.ts'
import type { PodSpec } from '../../src/lab/podspec.ts'

const cluster = { nameservers: ['10.96.0.10', 'fd00:10:96::a'], domain: 'cluster.local' }
const host =
  '# a comment\nnameserver 192.0.2.1 ; ours\nsearch old.example\nsearch lab.example\noptions timeout:1\noptions rotate\n'
const spec = (fields: Partial<PodSpec>): PodSpec => ({ containers: [], ...fields })
const CLUSTER_SEARCH = 'search shop.svc.cluster.local svc.cluster.local cluster.local lab.example\n'
const CLUSTER_SERVERS = 'nameserver 10.96.0.10\nnameserver fd00:10:96::a\n'
const HOST = 'search lab.example\nnameserver 192.0.2.1\noptions timeout:1 rotate\n'

const cases: readonly (readonly [what: string, spec: Partial<PodSpec>, text: string])[] = [
  ['nothing is said', {}, `${CLUSTER_SEARCH}${CLUSTER_SERVERS}options ndots:5\n`],
  ['on the network of the node', { hostNetwork: true }, HOST],
  [
    'the same, with the cluster first',
    { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' },
    `${CLUSTER_SEARCH}${CLUSTER_SERVERS}options ndots:5\n`,
  ],
  ['as the node', { dnsPolicy: 'Default' }, HOST],
  ['nothing', { dnsPolicy: 'None' }, ''],
  [
    'all of its own',
    {
      dnsPolicy: 'None',
      dnsConfig: {
        nameservers: ['192.0.2.9'],
        searches: ['a.example'],
        options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
      },
    },
    'search a.example\nnameserver 192.0.2.9\noptions ndots:2 edns0\n',
  ],
  [
    'added, an option in the place of ours',
    {
      dnsConfig: {
        nameservers: ['192.0.2.9', '192.0.2.10'],
        searches: ['svc.cluster.local', 'b.example'],
        options: [{ name: 'ndots', value: '1' }],
      },
    },
    `${CLUSTER_SEARCH.trim()} b.example\n${CLUSTER_SERVERS}nameserver 192.0.2.9\noptions ndots:1\n`,
  ],
]

for (const [what, fields, text] of cases) t.equal(resolvConf(spec(fields), 'shop', cluster, host), text, what)
t.equal(
  resolvConf(spec({}), 'a', { nameservers: [], domain: 'c.local' }, ''),
  'search a.svc.c.local svc.c.local c.local\noptions ndots:5\n',
)

/** The cases of kube-proxy's TestCategorizeEndpoints (pkg/proxy/topology_test.go), and what it leaves out. */
import t from 'tap'
import type { Endpoint } from '../../src/cluster/endpointlist.ts'
import { unpack, type Packed } from '../../src/service/members.ts'
import { categorize } from '../../src/service/categorize.ts'

interface Case {
  readonly name: string
  /** Of this node, n1. Default zone-a. */
  readonly zone?: string | null
  /** Internal policy Local; external policy Local; reached from outside at all. Default none of them. */
  readonly uses?: readonly ('internal-local' | 'external-local' | 'external')[]
  readonly publish?: boolean
  readonly endpoints: readonly Partial<Endpoint>[]
  /** Positions of endpoints; absent: no frontend uses that policy. */
  readonly cluster?: readonly number[]
  readonly local?: readonly number[]
  /** Default: whether cluster or local has any. */
  readonly any?: boolean
}

const PLAIN: Endpoint = {
  address: '',
  ready: true,
  serving: true,
  terminating: false,
  node: 'n2',
  zone: null,
  hintZones: null,
  hintNodes: null,
}

const zones = (...hintZones: string[]) => ({ hintZones })
const nodes = (...hintNodes: string[]) => ({ hintNodes })
const HERE = { node: 'n1' }
const UNREADY = { ready: false, serving: false }
const TERMINATING = { ready: false, serving: true, terminating: true }
const BOTH_LOCAL = ['internal-local', 'external-local', 'external'] as const

const CASES: readonly Case[] = [
  { name: 'no endpoints', endpoints: [], cluster: [] },
  {
    name: 'zone hints: this zone',
    endpoints: [zones('zone-a'), zones('zone-b'), zones('zone-c'), zones('zone-a')],
    cluster: [0, 3],
  },
  {
    name: 'external Local: topology is ignored for local endpoints, not for the others',
    uses: ['external-local', 'external'],
    endpoints: [{ ...zones('zone-a'), ...HERE }, { ...zones('zone-b'), ...HERE }, zones('zone-b'), zones('zone-a')],
    cluster: [0, 3],
    local: [0, 1],
  },
  {
    name: 'internal Local with external Cluster: the same',
    uses: ['internal-local', 'external'],
    endpoints: [{ ...zones('zone-a'), ...HERE }, { ...zones('zone-b'), ...HERE }, zones('zone-b'), zones('zone-a')],
    cluster: [0, 3],
    local: [0, 1],
  },
  { name: 'this node has no zone', zone: null, endpoints: [zones('zone-a'), zones('zone-b')], cluster: [0, 1] },
  { name: 'an empty zone hint is no hint', endpoints: [zones(), zones('zone-a')], cluster: [0, 1] },
  { name: 'no endpoint for this zone', zone: 'zone-b', endpoints: [zones('zone-a')], cluster: [0] },
  {
    name: 'an unready endpoint of this zone is not used',
    endpoints: [zones('zone-a'), zones('zone-b'), zones('zone-c'), { ...zones('zone-a'), ...UNREADY }],
    cluster: [0],
  },
  {
    name: 'only unready endpoints in this zone: all that are ready',
    endpoints: [
      { ...zones('zone-a'), ...UNREADY },
      zones('zone-b'),
      zones('zone-c'),
      { ...zones('zone-a'), ...UNREADY },
    ],
    cluster: [1, 2],
  },
  {
    name: 'a missing zone hint: all',
    endpoints: [zones('zone-a'), zones('zone-b'), {}, zones('zone-a')],
    cluster: [0, 1, 2, 3],
  },
  {
    name: 'a missing zone hint of an unready endpoint does not matter',
    endpoints: [zones('zone-a'), zones('zone-b'), UNREADY],
    cluster: [0],
  },
  {
    name: 'several zone hints',
    zone: 'zone-c',
    endpoints: [
      zones('zone-a', 'zone-b', 'zone-c'),
      zones('zone-b', 'zone-c'),
      zones('zone-b', 'zone-d'),
      zones('zone-c'),
    ],
    cluster: [0, 1, 3],
  },
  { name: 'node hints: this node', endpoints: [nodes('n1'), nodes('n2'), nodes('n1', 'n2')], cluster: [0, 2] },
  { name: 'node hints: none for this node', endpoints: [nodes('n2'), nodes('n3')], cluster: [0, 1] },
  { name: 'a missing node hint: all', endpoints: [nodes('n1'), {}], cluster: [0, 1] },
  {
    name: 'node hints go before zone hints',
    endpoints: [
      { ...zones('zone-a'), ...nodes('n1') },
      { ...zones('zone-a'), ...nodes('n2') },
    ],
    cluster: [0],
  },
  {
    name: 'node hints for others only: zone hints decide',
    endpoints: [
      { ...zones('zone-a'), ...nodes('n2') },
      { ...zones('zone-b'), ...nodes('n3') },
    ],
    cluster: [0],
  },
  {
    name: 'node hints for others only, and a missing zone hint: all',
    endpoints: [{ ...zones('zone-a'), ...nodes('n2') }, nodes('n3')],
    cluster: [0, 1],
  },
  {
    name: 'a missing node hint: zone hints decide',
    endpoints: [{ ...zones('zone-b'), ...nodes('n1') }, zones('zone-a')],
    cluster: [1],
  },
  {
    name: 'node hint of an unready endpoint: zone hints decide',
    endpoints: [
      { ...zones('zone-a'), ...nodes('n2') },
      { ...zones('zone-b'), ...nodes('n1'), ...UNREADY },
      { ...zones('zone-b'), ...nodes('n2') },
    ],
    cluster: [0],
  },
  {
    name: 'hints do not narrow the terminating fallback',
    endpoints: [
      { ...zones('zone-a'), ...TERMINATING },
      { ...zones('zone-b'), ...TERMINATING },
    ],
    cluster: [0, 1],
  },
  {
    name: 'topology and locality in conflict',
    uses: ['external-local', 'external'],
    endpoints: [{ ...zones('zone-a'), ...HERE }, { ...zones('zone-b'), ...HERE }, zones('zone-a'), zones('zone-b')],
    cluster: [0, 2],
    local: [0, 1],
  },
  { name: 'internal Local, no endpoints', uses: ['internal-local'], endpoints: [], local: [] },
  { name: 'internal Local, all remote', uses: ['internal-local'], endpoints: [{}, {}], local: [], any: true },
  { name: 'internal Local, all local', uses: ['internal-local'], endpoints: [HERE, HERE], local: [0, 1] },
  { name: 'internal Local, some local', uses: ['internal-local'], endpoints: [HERE, {}], local: [0] },
  { name: 'Cluster, none ready', endpoints: [UNREADY, UNREADY], cluster: [], any: false },
  { name: 'Cluster, some ready', endpoints: [UNREADY, {}], cluster: [1] },
  {
    name: 'Cluster, all terminating',
    endpoints: [{ ...TERMINATING, ...HERE }, TERMINATING, UNREADY],
    cluster: [0, 1],
  },
  {
    name: 'terminating and not serving is not a fallback',
    endpoints: [{ ...UNREADY, terminating: true }],
    cluster: [],
  },
  { name: 'serving but neither ready nor terminating is not a fallback', endpoints: [{ ready: false }], cluster: [] },
  { name: 'ready and terminating at once is ready', endpoints: [{ terminating: true }, TERMINATING], cluster: [0] },
  {
    name: 'internal Local, external Cluster',
    uses: ['internal-local', 'external'],
    endpoints: [HERE, {}],
    cluster: [0, 1],
    local: [0],
  },
  {
    name: 'internal Cluster, external Local',
    uses: ['external-local', 'external'],
    endpoints: [HERE, {}],
    cluster: [0, 1],
    local: [0],
  },
  { name: 'both Local, some local', uses: BOTH_LOCAL, endpoints: [HERE, {}], cluster: [0, 1], local: [0] },
  { name: 'both Local, all remote', uses: BOTH_LOCAL, endpoints: [{}, {}], cluster: [0, 1], local: [] },
  {
    name: 'both Local, all remote and terminating',
    uses: BOTH_LOCAL,
    endpoints: [TERMINATING, TERMINATING],
    cluster: [0, 1],
    local: [],
  },
  {
    name: 'external Local: the local set falls back while the cluster set does not',
    uses: ['external-local', 'external'],
    endpoints: [{}, { ...UNREADY, ...HERE }, { ...TERMINATING, ...HERE }, TERMINATING],
    cluster: [0],
    local: [2],
  },
  {
    name: 'external Local does not matter to who is not reached from outside',
    uses: ['external-local'],
    endpoints: [{}, HERE],
    cluster: [0, 1],
  },
  {
    name: 'internal Local and not reached from outside: no cluster set',
    uses: ['internal-local', 'external-local'],
    endpoints: [{}, HERE],
    local: [1],
    any: true,
  },
  {
    name: 'publishNotReadyAddresses: everybody is ready',
    uses: BOTH_LOCAL,
    publish: true,
    endpoints: [{ ...UNREADY, ...HERE }, TERMINATING, { ...UNREADY, terminating: true }],
    cluster: [0, 1, 2],
    local: [0],
  },
]

for (const each of CASES) {
  t.test(each.name, (t) => {
    const uses = new Set(each.uses)
    const policy = {
      usesCluster: !uses.has('internal-local') || uses.has('external'),
      usesLocal: uses.has('internal-local') || (uses.has('external-local') && uses.has('external')),
      publishNotReady: each.publish ?? false,
      keepsFlows: true,
    }
    const endpoints = each.endpoints.map((endpoint, i) => ({ ...PLAIN, address: `10.0.0.${i}`, ...endpoint }))
    const location = { node: 'n1', zone: each.zone === undefined ? 'zone-a' : each.zone }
    const all = { endpoints, ports: endpoints.map((_, i) => i + 1) }
    const found = categorize(all, policy, location)
    const positions = (packed: Packed | null) => {
      const members = packed === null ? null : unpack(packed)
      return members?.ips.map((ip, i) => (t.equal(ip, `10.0.0.${members.ports[i]! - 1}`), members.ports[i]! - 1))
    }
    t.same(positions(found.cluster), each.cluster, 'cluster')
    t.same(positions(found.local), each.local, 'local')
    const serving = endpoints.flatMap(({ ready, serving }, i) =>
      ready || serving || policy.publishNotReady ? [i] : [],
    )
    t.same(positions(found.serving), serving, 'serving: whoever is, whatever the policies')
    t.equal(
      found.serving === found.cluster,
      JSON.stringify(found.serving) === JSON.stringify(found.cluster),
      'one object for equal sets',
    )
    t.equal(categorize(all, { ...policy, keepsFlows: false }, location).serving, null, 'unless nobody asks')
    t.equal(found.any, each.any ?? (each.cluster ?? []).length + (each.local ?? []).length > 0, 'any')
    const used = new Set([...(each.cluster ?? []), ...(each.local ?? [])])
    const here = [...used].filter((i) => endpoints[i]!.node === 'n1').sort()
    t.same(
      found.here,
      here.map((i) => `10.0.0.${i}`),
      'here',
    )
    t.end()
  })
}

t.test('counts', (t) => {
  const endpoints = [{}, HERE, { ...TERMINATING, ...HERE }, TERMINATING, TERMINATING, UNREADY].map((endpoint, i) => ({
    ...PLAIN,
    address: `10.0.0.${i}`,
    ...endpoint,
  }))
  const policy = { usesCluster: true, usesLocal: true, publishNotReady: false, keepsFlows: false }
  const found = categorize({ endpoints, ports: endpoints.map(() => 80) }, policy, { node: 'n1', zone: null })
  t.match(found, { ready: 2, localReady: 1, terminating: 3 })
  t.end()
})

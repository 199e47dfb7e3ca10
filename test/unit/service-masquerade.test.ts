/**
 * kube-proxy's TestInternalExternalMasquerade as one matrix: who sends, to which kind of address, under which policies;
 * who gets it and whether the sender's address is kept.
 */
import t from 'tap'
import { endpoint, service, slice, type Raw } from '../contract/service-objects.ts'
import { dnat, NODE, OUTSIDE, POD, REJECT, REMOTE_POD, Room, tcp } from '../contract/service-room.ts'
import type { Route } from '../../src/service/fake.ts'

const [CLUSTER_IP, VIP, EXTERNAL] = ['10.96.0.10', '172.30.0.200', '172.30.0.100']
const LOCAL_POD = '10.244.1.10'
const [HERE, ELSEWHERE] = [`${LOCAL_POD}:8080`, '10.244.2.10:8080']
const ALL = [HERE, ELSEWHERE]
const keep = (to: readonly string[]): Route => dnat(to)
const masquerade = (to: readonly string[]): Route => dnat(to, true)

type Sender = 'pod' | 'hairpin' | 'node' | 'remote pod' | 'outside'
type Address = 'cluster' | 'node port' | 'load balancer' | 'external'
const SENDERS: Readonly<Record<Sender, string>> = {
  pod: POD,
  hairpin: LOCAL_POD,
  node: NODE,
  'remote pod': REMOTE_POD,
  outside: OUTSIDE,
}

/** The rules in words: ClusterIP keeps the address of local pods only; external addresses keep none under Cluster policy, and all but the node's own under Local. */
function expected(
  sender: Sender,
  address: Address,
  internalLocal: boolean,
  externalLocal: boolean,
  knowsPods: boolean,
): Route {
  const isPod = knowsPods && (sender === 'pod' || sender === 'hairpin')
  const self = sender === 'hairpin' ? HERE : null
  const hairpin = (route: Route): Route =>
    route.kind === 'dnat' && !route.masquerade && self !== null && route.to.includes(self)
      ? { ...route, hairpin: self }
      : route
  if (address === 'cluster') {
    const to = internalLocal ? [HERE] : ALL
    return hairpin(isPod || !knowsPods ? keep(to) : masquerade(to))
  }
  if (!externalLocal) return masquerade(ALL)
  if (isPod) return hairpin(keep(ALL))
  return sender === 'node' ? masquerade(ALL) : hairpin(keep([HERE]))
}

for (const internalLocal of [false, true]) {
  for (const externalLocal of [false, true]) {
    for (const knowsPods of [true, false]) {
      const policy = (local: boolean) => (local ? 'Local' : 'Cluster')
      const name = `internal ${policy(internalLocal)}, external ${policy(externalLocal)}, pod ranges ${knowsPods ? 'known' : 'unknown'}`
      t.test(name, (t) => {
        const spec: Raw = {
          type: 'LoadBalancer',
          ports: [{ port: 80, nodePort: 30080 }],
          externalIPs: [EXTERNAL],
          internalTrafficPolicy: policy(internalLocal),
          externalTrafficPolicy: policy(externalLocal),
        }
        const room = new Room(knowsPods ? {} : { localPodCIDRs: [] }).put(
          service('web', [CLUSTER_IP], spec, { lb: [VIP] }),
          slice('web-1', 'web', [endpoint(LOCAL_POD), endpoint('10.244.2.10')]),
        )
        for (const [sender, src] of Object.entries(SENDERS) as [Sender, string][]) {
          const packets: Record<Address, Route> = {
            cluster: room.route(tcp(src, CLUSTER_IP)),
            'node port': room.route(tcp(src, NODE, 30080)),
            'load balancer': room.route(tcp(src, VIP)),
            external: room.route(tcp(src, EXTERNAL)),
          }
          for (const [address, route] of Object.entries(packets) as [Address, Route][]) {
            t.same(route, expected(sender, address, internalLocal, externalLocal, knowsPods), `${sender} -> ${address}`)
          }
        }
        t.end()
      })
    }
  }
}

t.test('pod ranges of one family say nothing about the other', (t) => {
  const room = new Room({ localPodCIDRs: ['10.244.1.0/24'] }).put(
    service('web', [CLUSTER_IP, 'fd00:10:96::10']),
    slice('web-6', 'web', [endpoint('fd00:10:244:2::10')]),
  )
  t.same(room.route(tcp('fd00:172:30::1', 'fd00:10:96::10')), dnat(['[fd00:10:244:2::10]:8080']))
  t.same(room.route(tcp(OUTSIDE, CLUSTER_IP)), REJECT)
  t.end()
})

t.test('what the caller says about the sender goes before what its address says', (t) => {
  const room = new Room().put(service('web', [CLUSTER_IP]), slice('web-1', 'web', [endpoint('10.244.2.10')]))
  room.settle()
  t.same(room.fake.route({ ...tcp(POD, CLUSTER_IP), from: 'remote' }), masquerade([ELSEWHERE]))
  t.same(room.fake.route({ ...tcp(OUTSIDE, CLUSTER_IP), from: 'local-pod' }), keep([ELSEWHERE]))
  t.end()
})

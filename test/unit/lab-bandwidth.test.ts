import t from 'tap'
import { bandwidthOf } from '../../src/lab/bandwidth.ts'

const [INGRESS, EGRESS] = ['kubernetes.io/ingress-bandwidth', 'kubernetes.io/egress-bandwidth']
const BURST = 4_294_967_295

t.test('annotations become what containerd hands to the plugin', (t) => {
  t.same(bandwidthOf(undefined), { kind: 'done', bandwidth: undefined })
  t.same(bandwidthOf({ other: '1M' }), { kind: 'done', bandwidth: undefined })
  t.same(bandwidthOf({ [INGRESS]: '10M' }), {
    kind: 'done',
    bandwidth: { ingressRate: 10_000_000, ingressBurst: BURST },
  })
  t.same(bandwidthOf({ [INGRESS]: '1.5Mi', [EGRESS]: '1k' }), {
    kind: 'done',
    bandwidth: { ingressRate: 1_572_864, ingressBurst: BURST, egressRate: 1000, egressBurst: BURST },
  })
  t.end()
})

t.test('what cannot be meant is refused with what could be', (t) => {
  for (const text of ['', 'fast', '-1M', '999', '1001T', '10m', '10 M', '1e400', 'M', '10ki'])
    t.match(bandwidthOf({ [EGRESS]: text }), { kind: 'failed', reason: /egress-bandwidth is ".*such as 10M/ }, text)
  t.match(bandwidthOf({ [INGRESS]: '5M', [EGRESS]: 'x' }), { kind: 'failed' })
  t.end()
})

/** `fairlead dns query`: names tried as a resolver would, why there is nothing, and the page. */
import t from 'tap'
import { candidates, exitCodeOf, page } from '../../src/cli/dns-query.ts'
import type { Lookup } from '../../src/cli/dns-lookup.ts'
import { whyMissing } from '../../src/dns/missing.ts'
import { namespace, service } from '../contract/dns-objects.ts'
import { NameRoom } from '../contract/dns-room.ts'

const RESOLVER =
  'search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n'

t.test('the names that a resolver tries', async (t) => {
  const searched = ['web.shop.svc.cluster.local.', 'web.svc.cluster.local.', 'web.cluster.local.', 'web.']
  t.strictSame(candidates('web', RESOLVER), searched)
  t.strictSame(candidates('web.', RESOLVER), ['web.'], 'an absolute name is asked for as it is')
  t.equal(candidates('a.b.c.d.e.f', RESOLVER)[0], 'a.b.c.d.e.f.', 'five dots are enough')
  t.equal(candidates('a.b', 'search x\n')[0], 'a.b.', 'one dot is, unless something else is said')
  t.strictSame(candidates('a', ''), ['a.'])
})

t.test('why a name does not exist', async (t) => {
  const room = new NameRoom({}, [
    namespace('shop'),
    namespace('bank'),
    service('shop/cart', ['10.0.0.1']),
    service('bank/ledger', ['10.0.0.2']),
  ])
  const why = (name: string): string | null => whyMissing(name, ['cluster.local.'], room.tables)
  for (const [name, said] of [
    ['carrt.shop.svc.cluster.local.', 'no Service carrt in namespace shop; did you mean cart?'],
    ['ledger.shop.svc.cluster.local.', 'no Service ledger in namespace shop; there is one in bank'],
    ['nothing.shop.svc.cluster.local.', 'no Service nothing in namespace shop'],
    ['cart.shopp.svc.cluster.local.', 'no namespace shopp; did you mean shop?'],
    ['_x._tcp.cart.shop.svc.cluster.local.', 'Service shop/cart has no port or ready endpoint of that name'],
    ['cart.shop.cluster.local.', 'names of Services end in .svc.cluster.local.: NAME.NAMESPACE.svc.cluster.local.'],
    ['x.shop.pod.cluster.local.', 'no pod has such a name'],
    ['cart.example.org.', null],
    ['cluster.local.', null],
  ] as const)
    t.equal(why(name), said, name)
})

t.test('the page, and the exit code', async (t) => {
  const nothing: Lookup = {
    ...{ name: 'web.shop.svc.cluster.local.', type: 'A', code: 'NXDOMAIN', flags: ['aa'] },
    ...{ answer: [], authority: [], additional: [], block: 'dns://0.0.0.0:53 .', seconds: 0.0004 },
    by: [{ name: 'web.shop.svc.cluster.local.', type: 'A', plugin: 'kubernetes', object: null, upstreams: [] }],
    why: 'no Service web in namespace shop',
  }
  const record = { name: 'web.', ttl: 5, type: 'A', data: '192.0.2.1' }
  const rewrite = { name: 'web.', type: 'A', plugin: 'rewrite', object: null, upstreams: [] }
  const forward = { ...rewrite, name: 'shop.', plugin: 'forward', upstreams: ['10.0.0.2:53'] }
  const found: Lookup = {
    ...nothing,
    name: 'web.',
    code: 'NOERROR',
    answer: [record],
    by: [rewrite, forward],
    why: null,
  }
  t.strictSame(
    [nothing, found, { ...found, answer: [] }, { ...nothing, code: 'SERVFAIL' }].map(exitCodeOf),
    [1, 0, 1, 2],
  )
  const text = page(
    { server: 'coredns-1', from: { pod: 'shop/p', address: '10.244.0.9' }, lookups: [nothing, found] },
    false,
  )
  t.equal(
    text,
    [
      ';; web. A: NOERROR',
      '',
      ';; ANSWER:',
      'web.\t5\tIN\tA\t192.0.2.1',
      '',
      ';; by:     rewrite, then forward to 10.0.0.2:53 for shop. A',
      ';; before: web.shop.svc.cluster.local. NXDOMAIN: no Service web in namespace shop',
      ';; from:   shop/p (10.244.0.9)',
      ';; server: coredns-1, 0.4 ms',
      '',
    ].join('\n'),
  )
})

/** `fairlead dns top`: the page of several servers, and whose an address is. */
import t from 'tap'
import { ownersOf, page, type Counted } from '../../src/cli/dns-top.ts'
import { endpoint, namespace, pod, service, slice } from '../contract/dns-objects.ts'
import { NameRoom } from '../contract/dns-room.ts'

const counted = (more: Partial<Counted>): Counted => ({
  ...{ seconds: 2, queries: 10, clients: [], names: [], codes: [], missed: { clients: 0, names: 0 } },
  ...more,
})

t.test('what servers counted is one list, the most first', async (t) => {
  const all = [
    counted({
      names: [
        ['a.', 6],
        ['b.', 4],
      ],
      missed: { clients: 0, names: 2 },
    }),
    counted({
      seconds: 3,
      names: [
        ['b.', 7],
        ['c.', 3],
      ],
      missed: { clients: 5, names: 1 },
    }),
  ]
  const lines = page(all, 'names').trimEnd().split('\n')
  t.equal(lines[0], '20 queries in 3.0 s; counts may be 3 too low')
  t.same(
    lines.slice(2).map((line) => line.trim().split(/ {2,}/)),
    [
      ['11', '55.0 %', 'b.'],
      ['6', '30.0 %', 'a.'],
      ['3', '15.0 %', 'c.'],
    ],
  )
  const equal = page(
    [
      counted({
        codes: [
          ['NXDOMAIN', 5],
          ['NOERROR', 5],
        ],
      }),
    ],
    'codes',
  )
  t.match(equal, /^10 queries in 2\.0 s\n[^\n]+\n[^\n]+NOERROR\n[^\n]+NXDOMAIN\n$/, 'codes are all counted')
  t.equal(page([counted({ queries: 0 })], 'clients'), '0 queries in 2.0 s\n')
  const many = Array.from({ length: 30 }, (_, i) => [`${i}.`, 1] as const)
  t.equal(
    page([counted({ names: many })], 'names')
      .trimEnd()
      .split('\n').length,
    22,
    'twenty, and two lines above',
  )
})

t.test('an address is of a pod where pods are followed, else of the Service that has it as an endpoint', async (t) => {
  const room = new NameRoom({ pods: 'verified' }, [
    namespace('shop'),
    service('shop/web', ['10.0.0.1']),
    slice('shop/web-1', 'web', [endpoint('10.244.0.1'), endpoint('10.244.0.2')]),
    pod('shop/web-0', ['10.244.0.1']),
  ])
  const owners = ownersOf([room])
  t.equal(owners.get('10.244.0.1'), 'shop/web-0')
  t.equal(owners.get('10.244.0.2'), '(of Service shop/web)')
  t.equal(owners.get('10.244.0.3'), undefined)
})
